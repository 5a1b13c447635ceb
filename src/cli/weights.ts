/** `aand weights pull`: the official ImageNet weights of a backbone. */
import { join } from 'node:path';
import type { Command } from 'commander';
import { cacheFolder } from '../platform/node/cache.ts';
import { type OfficialWeights, officialWeights } from '../weights/official.ts';
import { interruptSignal } from './common.ts';
import { download } from './download.ts';
import { oneOf } from './options.ts';
import { ProgressReporter } from './progress.ts';

const names = Object.keys(officialWeights);

export function weightsCommand(program: Command): void {
  const weights = program.command('weights').description('teacher weights');
  weights
    .command('pull')
    .description('download the official ImageNet weights of a backbone (torchvision, IMAGENET1K_V1)')
    .argument('<backbone>', `one of ${names.join(', ')}`, oneOf(names))
    .option('--from <url>', 'another place of the same file')
    .option('--allow-http', 'take the file also over plain http, where others on the way can change it')
    .option('--cache <folder>', 'where it is kept; default: AAND_CACHE or the cache folder of the user')
    .action(async (backbone: string, options: { from?: string; allowHttp?: boolean; cache?: string }) => {
      const { url, file, sha256, bytes } = officialWeights[backbone] as OfficialWeights;
      const path = join(options.cache ?? join(process.env.AAND_CACHE ?? cacheFolder(), 'weights'), file);
      const reporter = new ProgressReporter();
      const progress = reporter.counting(file);
      const signal = interruptSignal();
      let fetched: boolean;
      try {
        fetched = await download(options.from ?? url, path, {
          sha256,
          mostBytes: bytes,
          allowHttp: options.allowHttp ?? false,
          signal,
          onProgress: progress,
        });
      } catch (error) {
        if (signal.aborted) throw error;
        throw new Error(
          `${(error as Error).message}. Without a connection: fetch ${url} elsewhere and put it at ` +
            `${path}, or give the file to --weights`,
        );
      } finally {
        reporter.stop();
      }
      console.log(`${fetched ? 'downloaded and checked' : 'already there, checked'}: ${path}`);
      console.log(`use it with: aand train ... --backbone ${backbone} --weights ${path}`);
    });
}
