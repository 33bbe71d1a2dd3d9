// The settings of an operator who has made the service their own.

import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const LOGO = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 40 40">
  <style>.sail{fill:#c2185b}</style>
  <path class="sail" d="M19 4v24H6z"/><path fill="#f48fb1" d="M22 10l11 18H22z"/><path fill="#4a148c" d="M4 31h32l-5 6H9z"/>
</svg>`;
const file = join(mkdtempSync(join(tmpdir(), 'sessile-brand-')), 'logo.svg');
writeFileSync(file, LOGO);

export const BRAND = {
  SESSILE_NAME: 'Surfside Hardware',
  SESSILE_LOGO: file,
  SESSILE_ACCENT: '#c2185b',
  SESSILE_CONTACT: 'Priya, 0171 5550199 or help@surfside.example',
  SESSILE_PRIVACY_URL: 'https://surfside.example/privacy',
};
