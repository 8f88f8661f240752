-- ARGV[1] queue; returns 1 if there is more of it to look through
return survey(ARGV[1]) and 1 or 0
