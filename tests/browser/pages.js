// Opens pages in a browser, uses them by keyboard, and tells what it saw.
// A request on standard input: {"chromium": "/usr/bin/chromium", "pages": ["/…/plan.html"], "find": "vm-7"}; the answers,
// one for each page, on standard output.
'use strict';
const { readFileSync } = require('node:fs');
const { pathToFileURL } = require('node:url');
const { chromium } = require('playwright-core');

const visible = (page) => page.evaluate(() => document.querySelectorAll('details.vm:not([hidden])').length);
const open = (page) => page.evaluate(() => document.querySelectorAll('details[open]').length);
const back = (page) => page.evaluate(() => getComputedStyle(document.body).backgroundColor);

const look = async (browser, file, find) => {
  const context = await browser.newContext({ viewport: { width: 1200, height: 800 }, colorScheme: 'light' });
  const page = await context.newPage();
  const seen = { errors: [], requests: [], dialogs: 0 };
  page.on('console', (message) => { if (message.type() === 'error') seen.errors.push(message.text()); });
  page.on('pageerror', (error) => seen.errors.push(String(error)));
  page.on('request', (request) => seen.requests.push(request.url()));
  page.on('dialog', (dialog) => { seen.dialogs += 1; return dialog.dismiss(); });
  await page.goto(pathToFileURL(file).href);
  seen.all = await visible(page);
  seen.folds = await page.evaluate(() => document.querySelectorAll('details').length);

  // Filtered by keyboard alone.
  await page.keyboard.press('/');
  await page.keyboard.type(find);
  await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
  seen.found = await visible(page);
  seen.status = await page.textContent('.filters [role=status]');
  await page.keyboard.press('Escape');
  seen.cleared = await visible(page);

  // Unfolded and folded by keyboard alone.
  const summary = page.locator('details.vm > summary').first();
  const before = await open(page);
  await summary.focus();
  await page.keyboard.press('Enter');
  seen.toggled = Math.abs((await open(page)) - before);
  await page.keyboard.press('Enter');
  seen.toggledBack = (await open(page)) === before;

  // On paper everything is unfolded, and afterwards as it was.
  await page.evaluate(() => addEventListener('beforeprint', () => {
    window.printed = document.querySelectorAll('details[open]').length;
  }));
  await page.pdf();
  seen.printed = await page.evaluate(() => window.printed);
  seen.afterPrint = (await open(page)) === before;

  const light = await back(page);
  await page.emulateMedia({ colorScheme: 'dark' });
  seen.darkDiffers = (await back(page)) !== light;
  await page.emulateMedia({ colorScheme: 'light' });

  await page.setViewportSize({ width: 400, height: 800 });
  await page.evaluate(() => { for (const details of document.querySelectorAll('details')) details.open = true; });
  seen.overflow = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
  await context.close();
  return seen;
};

const main = async () => {
  const { chromium: executablePath, pages, find } = JSON.parse(readFileSync(0, 'utf8'));
  // Whoever is root, as in containers, has no sandbox to give.
  const args = process.getuid() === 0 ? ['--no-sandbox'] : [];
  const browser = await chromium.launch({ executablePath, args });
  const answers = [];
  for (const file of pages) answers.push(await look(browser, file, find));
  await browser.close();
  process.stdout.write(JSON.stringify(answers));
};
main();
