// What only a browser shows of signing in and out, in Chromium and over TLS:
//
//   node sign_on.mjs '{"origin": "https://localhost:PORT"}'
//
// `/app` signs in by query, `/posted` by form post, each with a session of several cookies.
import { check, elsewhere, run } from './chromium.mjs';

const { origin } = JSON.parse(process.argv[2]);
const own = `${origin}/.vestibule`;

async function fresh(browser, more = {}) {
  const context = await browser.newContext({ ignoreHTTPSErrors: true, ...more });
  context.setDefaultTimeout(20_000);
  return context;
}

const of_session = ({ name }) => /^__Host-vestibule-(idp|posted)(\.\d+)?$/.test(name);

async function sessions(context) {
  return (await context.cookies(origin)).filter(of_session);
}

async function signed_in(context, path = '/app/page') {
  const page = await context.newPage();
  await page.goto(origin + path);
  await page.waitForURL((url) => url.href === origin + path);
  check((await page.content()).includes('ada'), `${path} doesn't name ada: ${await page.content()}`);
  return page;
}

async function status(context, path) {
  const page = await context.newPage();
  await page.goto(`${origin}/public`);
  const found = await page.evaluate(async (to) => (await fetch(to, { cache: 'no-store' })).status, path);
  await page.close();
  return found;
}

async function cookies_are_bound(browser) {
  for (const path of ['/app/page', '/posted/page']) {
    const context = await fresh(browser);
    await signed_in(context, path);
    const held = await sessions(context);
    check(held.length > 1, `${path}: one cookie, ${JSON.stringify(held.map(({ name }) => name))}`);
    for (const cookie of held) {
      const bound = cookie.httpOnly && cookie.secure && cookie.sameSite === 'Lax' && cookie.path === '/';
      check(bound && cookie.domain === 'localhost' && cookie.expires === -1, JSON.stringify({ ...cookie, value: '' }));
    }
    const others = (await context.cookies(origin)).filter((cookie) => !of_session(cookie));
    const left = others.filter(({ name }) => name.includes('-login-')).map(({ name }) => name);
    check(left.length === 0, `${path}: ${left} are left of the login`);
    await context.close();
  }
}

async function a_sign_out_deletes_every_cookie(browser) {
  for (const path of ['/app/page', '/posted/page']) {
    const context = await fresh(browser);
    await signed_in(context, path);
    const before = await sessions(context);
    const form = `<form method="post" action="${own}/sign-out"><input name="return_to" value="/public"><button id="go">out</button></form>`;
    const page = await elsewhere(context, form, `${origin}/public/out`);
    await page.click('#go');
    await page.waitForURL((url) => url.href === `${origin}/public`);
    const left = await sessions(context);
    check(left.length === 0, `${path}: ${left.map(({ name }) => name)} are still there`);
    check((await status(context, path)) === 401, `${path} is still open`);
    // What the browser held is dead, too, wherever a copy of it was kept.
    await context.addCookies(before);
    check((await status(context, path)) === 401, `${path} opens with a copy of the cookies`);
    await context.close();
  }
}

async function another_site_cannot_sign_out(browser) {
  const context = await fresh(browser);
  await signed_in(context);
  const tricks = `
    <img src="${own}/sign-out"><iframe src="${own}/sign-out"></iframe><script src="${own}/sign-out"></script>
    <link rel="prefetch" href="${own}/sign-out"><link rel="stylesheet" href="${own}/sign-out">
    <form id="f" method="post" action="${own}/sign-out" target="hidden"></form><iframe name="hidden"></iframe>
    <script>
      fetch('${own}/sign-out', { mode: 'no-cors', credentials: 'include' }).catch(() => {});
      fetch('${own}/sign-out', { mode: 'no-cors', credentials: 'include', method: 'POST' }).catch(() => {});
      try { new WebSocket('${own.replace('https', 'wss')}/sign-out'); } catch {}
      document.getElementById('f').submit();
      window.open('${own}/sign-out');
    </script>`;
  const page = await elsewhere(context, tricks);
  await page.waitForTimeout(1500);
  check((await status(context, '/app/page')) === 200, 'another site has signed the person out');
  await context.close();
}

async function a_page_of_ours_signs_out_by_nothing_that_was_not_chosen(browser) {
  const context = await fresh(browser);
  await signed_in(context);
  const written = `
    <img src="${own}/sign-out"><iframe src="${own}/sign-out"></iframe><link rel="prefetch" href="${own}/sign-out">
    <script type="speculationrules">{ "prefetch": [{ "urls": ["${own}/sign-out"], "eagerness": "immediate" }],
      "prerender": [{ "urls": ["${own}/sign-out?x=1"], "eagerness": "immediate" }] }</script>`;
  const page = await elsewhere(context, written, `${origin}/public/comments`);
  await page.waitForTimeout(1500);
  check((await status(context, '/app/page')) === 200, 'a link that nobody chose has signed the person out');
  await context.close();
}

async function a_form_of_another_site_leaves_no_session_behind(browser) {
  const context = await fresh(browser);
  await signed_in(context, '/posted/page');
  const before = await sessions(context);
  const fields = { provider: 'posted', prompt: 'login', login_hint: 'grace', return_to: '/posted/second' };
  const inputs = Object.entries(fields).map(([name, value]) => `<input name="${name}" value="${value}">`);
  const form = `<form method="post" action="${own}/sign-in">${inputs.join('')}<button id="go">in</button></form>`;
  const page = await elsewhere(context, form);
  await page.click('#go');
  await page.waitForURL((url) => url.href === `${origin}/posted/second`);
  check((await page.content()).includes('grace'), `not grace: ${await page.content()}`);
  // Whoever sat there before is signed out, wherever a copy of the cookies was kept.
  const copy = await fresh(browser);
  await copy.addCookies(before);
  check((await status(copy, '/posted/page')) === 401, 'the session of the person before lives on');
  await copy.close();
  await context.close();
}

async function a_frame_leads_to_the_whole_window(browser) {
  const context = await fresh(browser);
  const page = await elsewhere(context, `<iframe src="${origin}/app/framed" width="600" height="500"></iframe>`);
  const frame = page.frames().find((each) => each !== page.mainFrame());
  await frame.waitForSelector('a.button');
  check((await context.cookies(origin)).length === 0, 'a frame was given a cookie');
  await frame.click('a.button');
  await page.waitForURL((url) => url.href === `${origin}/app/framed`);
  check((await page.content()).includes('ada'), 'not signed in');
  await context.close();
}

async function a_page_of_ours_is_framed_by_nobody(browser) {
  const context = await fresh(browser);
  await signed_in(context);
  const page = await elsewhere(context, `<iframe src="${own}/signed-out"></iframe>`);
  await page.waitForTimeout(500);
  const frame = page.frames().find((each) => each !== page.mainFrame());
  check(!(await frame.content()).includes('<main>'), 'the signed-out page was shown in a frame of another site');
  await context.close();
}

async function tabs_land_where_they_began(browser) {
  for (const path of ['/app', '/posted']) {
    const context = await fresh(browser);
    const tabs = await Promise.all(Array.from({ length: 6 }, () => context.newPage()));
    await Promise.all(tabs.map((tab, number) => tab.goto(`${origin}${path}/${number}`).catch(() => null)));
    for (const [number, tab] of tabs.entries()) {
      await tab.waitForURL((url) => url.href === `${origin}${path}/${number}`);
      check((await tab.content()).includes('ada'), `tab ${number} isn't signed in`);
    }
    await context.close();
  }
}

async function all_of_it_works_without_script(browser) {
  const context = await fresh(browser, { javaScriptEnabled: false });
  const page = await context.newPage();
  await page.goto(`${own}/sign-in?return_to=/app/without`);
  await page.click('a.button >> text=idp');
  await page.waitForURL((url) => url.href === `${origin}/app/without`);
  await page.goto(`${origin}/denied`);
  await page.click('a.button.second');
  await page.waitForURL((url) => url.pathname !== '/denied');
  check((await sessions(context)).length === 0, 'still signed in');
  await context.close();
}

async function the_back_button_brings_no_session_back(browser) {
  const context = await fresh(browser);
  const page = await signed_in(context);
  const before = await sessions(context);
  const form = `<form method="post" action="${own}/sign-out"><button id="go">out</button></form>`;
  await context.route(`${origin}/public/out`, (route) => route.fulfill({ contentType: 'text/html', body: form }));
  await page.goto(`${origin}/public/out`);
  await page.click('#go');
  await page.waitForLoadState('networkidle');
  check((await sessions(context)).length === 0, 'still signed in');
  const ended = new Set(before.map(({ value }) => value));
  for (let back = 0; back < 4; back += 1) {
    await page.goBack({ waitUntil: 'load' }).catch(() => null);
    // The provider signs in anew without a question: that is another session.
    const held = await sessions(context);
    check(!held.some(({ value }) => ended.has(value)), `the ended session came back at ${page.url()}`);
  }
  const copy = await fresh(browser);
  await copy.addCookies(before);
  check((await status(copy, '/app/page')) === 401, 'the ended session opens the page again');
  await copy.close();
  await context.close();
}

const cases = [
  cookies_are_bound,
  a_sign_out_deletes_every_cookie,
  another_site_cannot_sign_out,
  a_page_of_ours_signs_out_by_nothing_that_was_not_chosen,
  a_form_of_another_site_leaves_no_session_behind,
  a_frame_leads_to_the_whole_window,
  a_page_of_ours_is_framed_by_nobody,
  tabs_land_where_they_began,
  all_of_it_works_without_script,
  the_back_button_brings_no_session_back,
];
await run(cases.map((walk) => [walk.name, walk]));
