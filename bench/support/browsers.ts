/** Headless Chromium and Firefox as the tests use them, and a server for one page. */
import { existsSync, readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { basename, extname, join } from 'node:path';
import puppeteer, { type Browser } from 'puppeteer-core';

function first(paths: readonly (string | undefined)[]): string | undefined {
  return paths.find((path) => path !== undefined && existsSync(path));
}

export const chromiumPath = first([
  process.env.CHROMIUM,
  '/usr/bin/chromium',
  '/usr/bin/chromium-browser',
  '/usr/bin/google-chrome',
]);
export const firefoxPath = first([process.env.FIREFOX, '/usr/bin/firefox-esr', '/usr/bin/firefox']);

/** The driver file of Chromium's own SwiftShader, so that Node can run on it too. */
export const swiftShaderDriver = first([
  '/usr/lib/chromium/vk_swiftshader_icd.json',
  '/usr/lib/chromium-browser/vk_swiftshader_icd.json',
  '/opt/google/chrome/vk_swiftshader_icd.json',
]);
export const lavapipeDriver = first([
  '/usr/share/vulkan/icd.d/lvp_icd.json',
  '/usr/share/vulkan/icd.d/lvp_icd.x86_64.json',
  '/usr/share/vulkan/icd.d/lvp_icd.aarch64.json',
]);

export function launchChromium(extra: readonly string[] = [], webgpu = true): Promise<Browser> {
  return puppeteer.launch({
    executablePath: chromiumPath as string,
    headless: true,
    protocolTimeout: 600_000,
    args: [
      '--no-sandbox',
      ...(webgpu ? ['--enable-unsafe-webgpu'] : []),
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
      '--no-first-run',
      ...extra,
    ],
  });
}

export function launchFirefox(preferences: Readonly<Record<string, unknown>> = {}): Promise<Browser> {
  return puppeteer.launch({
    browser: 'firefox',
    executablePath: firefoxPath as string,
    headless: true,
    protocolTimeout: 600_000,
    extraPrefsFirefox: { 'dom.webgpu.enabled': true, 'gfx.webgpu.ignore-blocklist': true, ...preferences },
    env: { ...process.env, VK_DRIVER_FILES: lavapipeDriver as string },
  });
}

const contentTypes: Readonly<Record<string, string>> = {
  '.js': 'text/javascript',
  '.mjs': 'text/javascript',
  '.json': 'application/json',
  '.wasm': 'application/wasm',
};

/** Serves files by URL path, and folders by URL prefix, on localhost, a secure context. */
export async function serve(
  files: Readonly<Record<string, string>>,
  folders: Readonly<Record<string, string>> = {},
): Promise<{ server: Server; url: string }> {
  const page =
    '<!doctype html><meta charset="utf-8"><title>checks</title><script type="module" ' +
    'src="/script.js"></script>';
  const server = createServer((request, response) => {
    const path = (request.url ?? '/').split('?')[0] as string;
    if (path === '/') {
      response.setHeader('content-type', 'text/html');
      response.end(page);
      return;
    }
    const prefix = Object.keys(folders).find((start) => path.startsWith(start));
    const file = files[path] ?? (prefix && join(folders[prefix] as string, basename(path)));
    if (!file || !existsSync(file)) {
      response.statusCode = 404;
      response.end();
      return;
    }
    response.setHeader('content-type', contentTypes[extname(path)] ?? 'application/octet-stream');
    response.end(readFileSync(file));
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  return { server, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/` };
}
