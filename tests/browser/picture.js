// Makes a picture of a page: chromium, page and picture are the arguments.
'use strict';
const { pathToFileURL } = require('node:url');
const { chromium } = require('playwright-core');

const main = async () => {
  const [executablePath, page, picture] = process.argv.slice(2);
  const args = process.getuid() === 0 ? ['--no-sandbox'] : [];
  const browser = await chromium.launch({ executablePath, args });
  const tab = await browser.newPage({ viewport: { width: 1100, height: 620 }, colorScheme: 'light' });
  await tab.goto(pathToFileURL(page).href);
  await tab.evaluate(() => { document.querySelector('details:not(.vm)').open = false; document.querySelector('details.vm.update').open = true; });
  await tab.screenshot({ path: picture });
  await browser.close();
};
main();
