// Chromium as all scripts here start it, and what they check with.
import { chromium } from 'playwright-core';

export const desktop = { width: 1280, height: 800 };
export const phone = { width: 390, height: 844 };

export const launch = {
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  headless: true,
  args: [
    '--no-sandbox',
    '--disable-gpu',
    '--disable-quic',
    '--no-first-run',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
    // Pages that stand for other sites come from no address at all, and may ask this machine all the same.
    '--disable-features=LocalNetworkAccessChecks,BlockInsecurePrivateNetworkRequests',
  ],
};

export function check(holds, why) {
  if (!holds) throw new Error(why);
}

// Runs all of `cases` ([name, async (browser) => …]) in one browser; ends non-zero with the reasons when any fails.
export async function run(cases) {
  const browser = await chromium.launch(launch);
  const failures = [];
  for (const [name, walk] of cases) {
    try {
      await walk(browser);
      console.log(`${name}: fine`);
    } catch (error) {
      failures.push(`${name}: ${error.message}`);
    }
  }
  await browser.close();
  if (failures.length > 0) {
    console.error(failures.join('\n'));
    process.exit(1);
  }
}

// A page of a site that isn't ours, with this content; nothing of it comes from a network.
export async function elsewhere(context, html, address = 'http://elsewhere.test/') {
  await context.route(address, (route) => route.fulfill({ contentType: 'text/html', body: html }));
  const page = await context.newPage();
  await page.goto(address);
  return page;
}
