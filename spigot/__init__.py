"""The command ``spigot``: gathers the commands of web, jobs and workers, and runs them all."""
