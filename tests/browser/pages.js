// Opens pages of phoenix in Chromium and uses them as people do: node pages.js CHROMIUM DIRECTORY SCREENSHOTS
//
// DIRECTORY has NAME.html files; what is asked of each follows from what it says about itself. Every failure is told;
// the exit code says whether there was one.
'use strict';
const fs = require('node:fs');
const path = require('node:path');
const { pathToFileURL } = require('node:url');
const { chromium } = require('playwright-core');

const [executablePath, directory, screenshots] = process.argv.slice(2);
let failed = 0;
let name = '';
const check = (holds, what) => {
  if (!holds) {
    failed += 1;
    console.log(`FAILED ${name}: ${what}`);
  }
};

const shown = (page) => page.locator('main [data-t]:not([hidden])').count();
// The page answers to input in the frame after it.
const settled = (page) => page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));

async function filters(page, all) {
  const find = page.locator('input[type=search]');
  await page.keyboard.press('/');
  check(await find.evaluate((input) => input === document.activeElement), '`/` goes to the filter');
  await page.keyboard.type('WEB-001');
  await settled(page);
  check((await shown(page)) === 1, `a name finds its VM, not ${await shown(page)}`);
  check((await page.locator('[role=status]').textContent()) === `1 of ${all} VMs`, 'the count follows');
  await page.keyboard.press('Escape');
  await settled(page);
  check((await shown(page)) === all, 'Escape shows all again');
  await find.fill('1002');
  await settled(page);
  check((await shown(page)) === 1, 'a VMID finds its VM');
  await find.fill('no such thing');
  await settled(page);
  check((await shown(page)) === 0, 'nothing is found where nothing is');
  await find.fill('');
  await settled(page);
  const boxes = page.locator('.filters input[type=checkbox]');
  for (let at = 0; at < (await boxes.count()); at += 1) {
    const box = boxes.nth(at);
    const [kind, value] = [await box.getAttribute('name'), await box.getAttribute('value')];
    const these = await page.locator(`main [data-t][data-${kind}="${value}"]`).count();
    // By mouse one way, by keyboard back.
    await box.click();
    await settled(page);
    check((await shown(page)) === all - these, `without ${kind}=${value} there are ${all - these}`);
    await box.focus();
    await page.keyboard.press('Space');
    await settled(page);
    check((await shown(page)) === all, `with ${kind}=${value} all are there`);
  }
}

async function folding(page) {
  const details = page.locator('main details.vm').first();
  const open = () => details.evaluate((element) => element.open);
  const before = await open();
  await details.locator('summary').click({ position: { x: 5, y: 8 } });
  check((await open()) !== before, 'the mouse folds');
  await details.locator('summary').focus();
  await page.keyboard.press('Enter');
  check((await open()) === before, 'the keyboard folds');
  if (await page.locator('.filters').count()) {
    await page.getByText('Unfold all').click();
    check((await page.locator('main details:not([open])').count()) === 0, 'everything unfolds');
    await page.getByText('Fold all', { exact: true }).click();
    check((await page.locator('main details[open]').count()) === 0, 'everything folds');
  }
  const link = page.locator('.problems a').first();
  if (await link.count()) {
    const target = page.locator(await link.getAttribute('href'));
    await link.evaluate((element) => element.click());
    await settled(page);
    check(await target.isVisible(), 'a problem leads to its VM');
    if (await target.evaluate((element) => element.tagName === 'DETAILS')) {
      check(await target.evaluate((element) => element.open), 'the VM of a problem unfolds');
    }
  }
}

async function visit(browser, file, colorScheme, width) {
  name = `${path.basename(file, '.html')}-${colorScheme}-${width}`;
  const context = await browser.newContext({ colorScheme, viewport: { width, height: 1000 } });
  const page = await context.newPage();
  page.on('console', (message) => check(false, `console: ${message.text()}`));
  page.on('pageerror', (error) => check(false, `error: ${error.message}`));
  page.on('request', (request) => check(request.url().startsWith('file:'), `it asks for ${request.url()}`));
  const begun = Date.now();
  await page.goto(pathToFileURL(file).href);
  const took = Date.now() - begun;
  check(took < 10000, `it opens in ${took} ms`);
  await page.screenshot({ path: path.join(screenshots, `${name}.png`) });
  const hostile = await page.evaluate(() => [document.title, document.querySelectorAll('script').length]);
  check(hostile[0] !== 'owned' && hostile[1] === 1, 'a script in a value stays text');
  const back = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  check((back === 'rgb(255, 255, 255)') === (colorScheme === 'light'), `${colorScheme} has ${back}`);
  const sticksOut = () => page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  check((await sticksOut()) <= 0, `it sticks out by ${await sticksOut()} pixels`);
  const all = await page.locator('main [data-t]').count();
  if (await page.locator('.filters').count()) await filters(page, all);
  await folding(page);
  const unfolded = page.locator('main details.vm').first();
  await unfolded.evaluate((element) => { element.open = true; element.scrollIntoView(); });
  check((await sticksOut()) <= 0, `unfolded, it sticks out by ${await sticksOut()} pixels`);
  await page.screenshot({ path: path.join(screenshots, `${name}-unfolded.png`) });
  if (width > 1000 && colorScheme === 'light') {
    await page.emulateMedia({ media: 'print' });
    check(!(await page.locator('.filters').isVisible().catch(() => false)), 'filters are not printed');
    await page.pdf({ path: path.join(screenshots, `${name}.pdf`) });
  }
  await context.close();
  console.log(`${name}: ${all} VMs, ${took} ms`);
}

(async () => {
  const browser = await chromium.launch({ executablePath, args: ['--no-sandbox'] });
  const files = fs.readdirSync(directory).filter((file) => file.endsWith('.html')).sort();
  for (const file of files) {
    // Many VMs make a page slow, not different: two looks at it are enough.
    const many = fs.statSync(path.join(directory, file)).size > 500000;
    const looks = [['light', 1400], ['dark', 400], ['light', 400], ['dark', 1400]];
    for (const [colorScheme, width] of many ? looks.slice(0, 2) : looks) {
      await visit(browser, path.join(directory, file), colorScheme, width);
    }
  }
  await browser.close();
  process.exitCode = failed > 0 || files.length === 0 ? 1 : 0;
})();
