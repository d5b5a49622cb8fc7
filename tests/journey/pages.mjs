// Every page of ours, in Chromium:
//
//   node pages.mjs '{"origin": "https://localhost:PORT", "written": "FOLDER", "out": "FOLDER"}'
//
// Those that a browser can be led to by itself are, the others are read from files in `written`. In two languages, light and dark, as wide as a desktop and as a phone: axe finds nothing, no style or script is
// refused by the page's own policy, nothing is wider than the window, the reference is that of the answer. Keeps a
// screenshot of each.
import { mkdir, readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import axe from 'axe-core';
import { check, desktop, elsewhere, phone, run } from './chromium.mjs';

const { origin, written, out } = JSON.parse(process.argv[2]);
await mkdir(out, { recursive: true });
const own = `${origin}/.vestibule`;

async function go(context, address) {
  const page = await context.newPage();
  const response = await page.goto(address);
  return [page, response];
}

// The answer to what a page of another site makes the browser ask.
async function sent(context, html, address) {
  const page = await elsewhere(context, html, address);
  const answer = page.waitForResponse((response) => response.request().isNavigationRequest() && response.status() !== 303);
  await page.click('#go');
  return [page, await answer];
}

async function callback(browser) {
  const other = await browser.newContext({ ignoreHTTPSErrors: true });
  const start = await other.request.get(`${origin}/app`, { maxRedirects: 0, headers: { accept: 'text/html' } });
  const back = await other.request.get(start.headers().location, { maxRedirects: 0 });
  await other.close();
  return back.headers().location;
}

const pages = {
  not_found: [404, (context) => go(context, `${origin}/nothing-is-here`)],
  unknown_endpoint: [404, (context) => go(context, `${own}/unknown`)],
  bad_gateway: [502, (context) => go(context, `${origin}/down`)],
  unavailable: [503, (context) => go(context, `${origin}/dead`)],
  malformed_path: [400, (context) => go(context, `${origin}/a%00b`)],
  callback_of_nobody: [400, (context) => go(context, `${own}/callback/idp?code=x&state=y`)],
  login_cookie_lost: [400, async (context, browser) => go(context, await callback(browser))],
  login_declined: [403, (context) => go(context, `${origin}/declined`)],
  provider_error: [502, (context) => go(context, `${origin}/mistaken`)],
  login_rejected: [400, (context) => go(context, `${origin}/rejected`)],
  denied: [403, (context) => go(context, `${origin}/denied`)],
  chooser: [200, (context) => go(context, `${own}/sign-in?return_to=/public`)],
  sign_out: [200, (context) => sent(context, `<a id="go" href="${own}/sign-out?return_to=/public">out</a>`)],
  signed_out: [200, (context) => go(context, `${own}/signed-out`)],
  sign_in_required_with_body: [
    401,
    (context) =>
      sent(
        context,
        `<form method="post" action="${origin}/app"><input name="a" value="1"><button id="go">send</button></form>`,
        `${origin}/public/form`,
      ),
  ],
  login_loop: [
    400,
    async (context) => {
      const page = await context.newPage();
      let response;
      for (let turn = 0; turn < 6 && (!response || response.status() === 200); turn += 1) {
        await context.clearCookies({ name: '__Host-vestibule-idp' });
        response = await page.goto(`${origin}/app`);
      }
      return [page, response];
    },
  ],
};

async function look_at_both(page, name, language) {
  await page.evaluate(axe.source);
  for (const colorScheme of ['light', 'dark']) {
    await page.emulateMedia({ colorScheme });
    for (const [kind, size] of Object.entries({ desktop, phone })) {
      await page.setViewportSize(size);
      await look(page, name, language);
      await page.screenshot({ path: join(out, `${name}-${language}-${colorScheme}-${kind}.png`), fullPage: true });
    }
  }
}

async function look(page, name, language) {
  const problems = await page.evaluate(async () => {
    const found = await window.axe.run(document, { resultTypes: ['violations'] });
    return found.violations.map(({ id, help, nodes }) => `${id}: ${help} (${nodes.map((node) => node.html).join(' ')})`);
  });
  check(problems.length === 0, `${language}: ${problems.join('\n')}`);
  const [width, shown] = await page.evaluate(() => [document.documentElement.scrollWidth, window.innerWidth]);
  check(width <= shown, `${name} is ${width} px wide where ${shown} px are shown`);
}

function visit(name) {
  const [status, open] = pages[name];
  return async (browser) => {
    for (const [locale, language] of [['en-GB', 'en'], ['de-AT', 'de']]) {
      const context = await browser.newContext({ ignoreHTTPSErrors: true, locale, viewport: desktop });
      context.setDefaultTimeout(20_000);
      const refused = [];
      context.on('console', (message) => {
        if (message.text().includes('Content Security Policy')) refused.push(message.text());
      });
      const [page, response] = await open(context, browser);
      check(response.status() === status, `${language}: ${response.status()} at ${page.url()}`);
      const headers = response.headers();
      check(headers['content-language'] === language, `said to be in ${headers['content-language']}`);
      check(await page.evaluate((tag) => document.documentElement.lang === tag, language), 'another lang');
      check((await page.content()).includes(headers['x-request-id']), `no reference ${headers['x-request-id']}`);
      await look_at_both(page, name, language);
      check(refused.length === 0, refused.join('\n'));
      await context.close();
    }
  };
}

// `NAME-LANGUAGE.html`, as it would be sent.
function read(file) {
  const [name, language] = file.replace('.html', '').split(/-(?=[a-z]{2}$)/);
  return async (browser) => {
    const context = await browser.newContext({ viewport: desktop });
    const page = await context.newPage();
    await page.setContent(await readFile(join(written, file), 'utf8'));
    await look_at_both(page, `written-${name}`, language);
    await context.close();
  };
}

const files = (await readdir(written)).filter((file) => file.endsWith('.html'));
check(files.length >= 70, `${files.length} pages in ${written}`);
await run([...Object.keys(pages).map((name) => [name, visit(name)]), ...files.map((file) => [file, read(file)])]);
