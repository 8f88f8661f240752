// rq-dashboard says nothing when a button fails: show what the server answered.
"use strict";

// The way back, and from a job to its page.
const root = location.pathname.replace(/\/rq(\/\d+\/.*|\/?)$/, "");
$("<a class='navbar-brand'>").attr("href", `${root}/`).text("← Spigot").insertBefore($(".navbar-brand").first());
const shown = location.pathname.match(/\/view\/job\/([A-Za-z0-9_-]+)$/);
if (shown) $("<p>").append($("<a>").attr("href", `${root}/jobs/${shown[1]}`).text("The page of this job")).prependTo("body > .container");

$(document).ajaxError((event, answer, request) => {
  if (request.type !== "POST") return;
  const told = answer.responseJSON;
  const text = told ? `${told.title}: ${told.detail}` : "The server did not answer; try again.";
  $("<div class='alert alert-danger' role='alert'>").text(text).prependTo("body > .container");
});
