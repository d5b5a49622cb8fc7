// A person's way through the demo, in Chromium:
//
//   node journey.mjs ADDRESS USER PASSWORD OUTDIR
//
// Signs in at the hosted page, is known on the echo page and in a second tab, signs out, and finds
// that the back button brings nothing back. Keeps a screenshot of every step, as wide as a desktop
// and as a phone. Ends non-zero, with the reason, when any of it fails.
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium } from 'playwright-core';
import { check, desktop, launch, phone } from './chromium.mjs';

const [address, user, password, out] = process.argv.slice(2);
if (!out) {
  console.error('usage: node journey.mjs ADDRESS USER PASSWORD OUTDIR');
  process.exit(2);
}

const origin = new URL(address).origin;
let step = 'start';
let shots = 0;

// Both widths; the page stays as wide as it was.
async function shoot(page, name) {
  shots += 1;
  for (const [kind, size] of Object.entries({ desktop, phone })) {
    await page.setViewportSize(size);
    const path = join(out, `${String(shots).padStart(2, '0')}-${name}-${kind}.png`);
    await page.screenshot({ path, fullPage: true });
    const width = await page.evaluate(() => document.documentElement.scrollWidth);
    check(width <= size.width, `${name} is ${width} px wide where ${size.width} px are shown`);
  }
  await page.setViewportSize(desktop);
}

// A request as the browser would make it, without following anything and without its cache.
async function ask(page, path) {
  const response = await page.context().request.get(origin + path, {
    maxRedirects: 0,
    headers: { accept: 'text/html', 'cache-control': 'no-cache' },
  });
  return response.status();
}

async function sign_in(page) {
  step = 'open the protected page';
  await page.goto(`${origin}/journey?step=1`);
  check(new URL(page.url()).origin !== origin, `not led to the sign-on page but to ${page.url()}`);
  await page.waitForSelector('input[name=password]');
  await shoot(page, 'sign-on');

  step = 'sign in with a wrong password';
  await page.fill('input[name=username]', user);
  await page.fill('input[name=password]', 'not the password');
  await page.press('input[name=password]', 'Enter');
  await page.waitForSelector('[role=alert]');
  check(new URL(page.url()).origin !== origin, 'a wrong password signed in');
  await shoot(page, 'wrong-password');

  step = 'sign in';
  await page.fill('input[name=username]', user);
  await page.fill('input[name=password]', password);
  await Promise.all([
    page.waitForURL((url) => url.origin === origin),
    page.press('input[name=password]', 'Enter'),
  ]);
  await page.waitForLoadState();
  check(page.url() === `${origin}/journey?step=1`, `landed on ${page.url()}`);
}

async function is_known(page) {
  step = 'be known on the page behind';
  const text = await page.evaluate(() => document.body.innerText);
  check(/x-forwarded-user/i.test(text), `the page shows no identity header: ${text}`);
  check(text.includes(user), `the page doesn't name ${user}: ${text}`);
  const cookies = await page.context().cookies(origin);
  check(!cookies.some(({ value }) => value.length > 8 && text.includes(value)), 'the page behind was sent our cookie');
  await shoot(page, 'known');
}

async function second_tab(context) {
  step = 'open a second tab';
  const tab = await context.newPage();
  const response = await tab.goto(`${origin}/journey?step=2`);
  check(response.status() === 200, `the second tab got ${response.status()}`);
  check(tab.url() === `${origin}/journey?step=2`, `the second tab is at ${tab.url()}`);
  check((await tab.content()).includes(user), `the second tab doesn't name ${user}`);
  await tab.close();
}

async function sign_out(page) {
  step = 'sign out';
  const button = page.locator('a, button').filter({ hasText: /sign out/i }).first();
  await button.click();
  await page.waitForURL((url) => url.origin === origin && url.pathname !== '/journey');
  await page.waitForLoadState('networkidle');
  await shoot(page, 'signed-out');
  const cookies = await page.context().cookies(origin);
  const session = cookies.find(({ name }) => /^(__Host-)?vestibule(-(?!login-)[^.]+)?(\.\d+)?$/.test(name));
  check(!session, `${session?.name} is still there`);

  step = 'press the back button';
  await page.goBack({ waitUntil: 'load' }).catch(() => null);
  await shoot(page, 'back');
  const status = await ask(page, '/journey?step=1');
  check([302, 401].includes(status), `a fresh request got ${status} after signing out`);

  step = 'open the protected page again';
  await page.goto(`${origin}/journey?step=3`);
  check(page.url() !== `${origin}/journey?step=3`, 'the page opened without signing in');
  check((await page.$('input[name=password]')) !== null, `no password is asked for at ${page.url()}`);
}

const profile = await mkdtemp(join(tmpdir(), 'vestibule-journey-'));
await mkdir(out, { recursive: true });
const context = await chromium.launchPersistentContext(profile, { ...launch, viewport: desktop });
context.setDefaultTimeout(20_000);
const problems = [];
let failure;
try {
  const page = context.pages()[0] ?? (await context.newPage());
  page.on('pageerror', (error) => problems.push(`script error: ${error.message}`));
  page.on('console', (message) => {
    // A refused style or script: the page's own policy doesn't fit the page.
    if (message.text().includes('Content Security Policy')) problems.push(message.text());
  });
  await sign_in(page);
  await is_known(page);
  await second_tab(context);
  await sign_out(page);
  check(problems.length === 0, problems.join('\n'));
} catch (error) {
  failure = error;
  await context.pages()[0]?.screenshot({ path: join(out, 'failed.png') }).catch(() => null);
} finally {
  await context.close();
  await rm(profile, { recursive: true, force: true });
}

if (failure) {
  console.error(`journey: failed to ${step}: ${failure.message}`);
  process.exit(1);
}
console.log(`journey: ${user} signed in, was known, and signed out; ${shots * 2} screenshots in ${out}`);
