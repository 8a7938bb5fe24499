"use strict";
// The page works without this. A form is sent once, and one that cannot be taken back is asked about first.
document.addEventListener("submit", (event) => {
  const form = event.target, question = form.dataset.confirm;
  if (form.dataset.sent || (question && !window.confirm(question))) return event.preventDefault();
  if (form.method === "post") form.dataset.sent = "yes";
});
window.addEventListener("pageshow", () => document.querySelectorAll("form[data-sent]").forEach((form) => delete form.dataset.sent));
// The overview stays current while somebody looks at it.
if (document.body.dataset.refresh) {
  setInterval(async () => {
    if (document.hidden) return;
    const answer = await fetch(location.href, { cache: "no-store" });
    if (!answer.ok || answer.redirected) return;
    const next = new DOMParser().parseFromString(await answer.text(), "text/html");
    document.querySelector("main").replaceChildren(...next.querySelector("main").childNodes);
  }, Number(document.body.dataset.refresh) * 1000);
}
