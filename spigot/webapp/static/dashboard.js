// rq-dashboard says nothing when a button fails: show what the server answered.
"use strict";

$(document).ajaxError((event, answer, request) => {
  if (request.type !== "POST") return;
  const told = answer.responseJSON;
  const text = told ? `${told.title}: ${told.detail}` : "The server did not answer; try again.";
  $("<div class='alert alert-danger' role='alert'>").text(text).prependTo("body > .container");
});
