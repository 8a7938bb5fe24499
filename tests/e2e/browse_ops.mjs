// What an operator does in Chromium: tests/e2e/test_ops.py starts it with a plan on stdin, and reads what it saw.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const plan = JSON.parse(readFileSync(0, "utf8"));
const tools = createRequire(`${plan.tools}/`);
const { chromium } = tools("playwright-core");
const axe = readFileSync(tools.resolve("axe-core/axe.min.js"), "utf8");
const seen = { texts: {}, errors: [], foreign: [], violations: [], wide: [], cookies: [] };
const QUIET = ["gpu", "quic", "background-networking", "component-update", "sync"].map((each) => `--disable-${each}`);

const browser = await chromium.launch({
  executablePath: plan.chromium,
  args: ["--headless", "--no-sandbox", "--no-first-run", ...QUIET],
});

/** A window whose errors and requests are noted. */
async function open(options = {}) {
  const context = await browser.newContext({ viewport: { width: 1200, height: 900 }, ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(15_000);
  page.on("pageerror", (error) => seen.errors.push(String(error)));
  page.on("console", (line) => { if (["error", "warning"].includes(line.type())) seen.errors.push(line.text()); });
  page.on("request", (request) => { if (!request.url().startsWith(plan.origin)) seen.foreign.push(request.url()); });
  page.on("response", (answer) => { if (answer.status() >= 400) seen.errors.push(`${answer.status()} ${answer.url()}`); });
  page.on("dialog", (dialog) => dialog.accept());
  return page;
}

/** Keep what a page shows: its text, a picture, and what axe finds wrong in it. */
async function look(page, name) {
  seen.texts[name] = await page.locator("main").innerText();
  await page.screenshot({ path: `${plan.pictures}/${name}.png`, fullPage: true });
  await page.evaluate(axe);
  const found = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
  for (const each of found.violations) seen.violations.push(`${name}: ${each.id}: ${each.nodes.map((node) => node.html).join(" ")}`);
  if (await page.evaluate(() => (width) => document.documentElement.scrollWidth > width, page.viewportSize().width)) seen.wide.push(name);
}

async function logIn(page) {
  await page.goto(`${plan.page}/`);
  await page.getByLabel("One of API_TOKENS").fill(plan.token);
  await page.getByRole("button", { name: "Log in" }).click();
  await page.getByRole("heading", { name: "Overview" }).waitFor();
}

const page = await open();
await page.goto(`${plan.page}/`);
await look(page, "login");
await logIn(page);
await look(page, "overview");
seen.cookies = await page.context().cookies();

// find a customer, and read the timeline
await page.getByRole("searchbox").fill(plan.user);
await page.getByRole("button", { name: "Find" }).click();
await page.getByRole("heading", { name: "Timeline" }).waitFor();
await page.getByText("What Stripe showed last").click();
await look(page, "document");
await page.locator("#timeline").getByRole("link").first().click();
await look(page, "event");
await page.getByRole("link", { name: "Documents" }).click();
await look(page, "documents");
await page.getByRole("link", { name: "Hooks" }).click();
await look(page, "deliveries");

// settle a review both ways
await page.getByRole("link", { name: "Review", exact: true }).click();
await look(page, "review");
for (const [id, button, name] of [[plan.linked, "Link", "linked"], [plan.given_up, "Roll back", "given_up"]]) {
  await page.goto(`${plan.page}/review/${id}`);
  await look(page, `before_${name}`);
  await page.getByRole("button", { name: button }).first().click();
  await page.getByRole("status").waitFor();
  await look(page, name);
}

// replay a dead event
await page.getByRole("link", { name: "Events" }).click();
await page.getByLabel("State").selectOption("dead");
await page.getByRole("button", { name: "Show" }).click();
await look(page, "dead_events");
await page.locator("tbody").getByRole("link", { name: plan.dead }).click();
await look(page, "before_replay");
await page.getByRole("button", { name: "Replay" }).click();
await page.getByRole("status").waitFor();
await look(page, "replayed");

await page.getByRole("button", { name: /Log out/ }).click();
await page.getByRole("button", { name: "Log in" }).waitFor();
await page.waitForTimeout(1100); // an address may log in once a second

// on a phone, in the dark
const phone = await open({ viewport: { width: 375, height: 700 }, colorScheme: "dark", isMobile: true, hasTouch: true });
await logIn(phone);
await look(phone, "phone_overview");
for (const [place, name] of [[`documents/customer/${plan.linked}`, "document"], ["events", "events"], ["deliveries", "deliveries"], [`review/${plan.third}`, "review"]]) {
  await phone.goto(`${plan.page}/${place}`);
  await look(phone, `phone_${name}`);
}
await phone.waitForTimeout(1100);

// without scripts, what is read works
const plain = await open({ javaScriptEnabled: false });
await logIn(plain);
await plain.getByRole("searchbox").fill(plan.user);
await plain.getByRole("button", { name: "Find" }).click();
seen.texts.plain = await plain.locator("main").innerText();

await browser.close();
console.log(JSON.stringify(seen));
