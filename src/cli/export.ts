/** `aand export`: the detector for other runtimes. */
import { type Command, Option } from 'commander';
import { readBytes } from '#platform';
import { spread } from '../base/lists.ts';
import { readDetector } from '../detector/file.ts';
import { exportHalf } from '../export/half.ts';
import { exportDetector } from '../export/onnx_detector.ts';
import { type ResizeForm, resizeForms } from '../export/processing.ts';
import { exportTorch } from '../export/torch.ts';
import { OutputFile } from '../output/file.ts';
import { UsageError, withEngine } from './common.ts';
import { findImages, unreadableFiles } from './find_images.ts';
import { compareWithRuntime } from './onnx_check.ts';
import { batchOption, countOption } from './options.ts';
import { packageVersion } from './package.ts';
import { ProgressReporter } from './progress.ts';
import { next, quoted } from './style.ts';
import { noteUncalibrated } from './uncalibrated.ts';

interface ExportOptions {
  readonly to: 'onnx' | 'pth' | 'safetensors-f16';
  readonly out: string;
  readonly force?: boolean;
  readonly batch: number;
  readonly verify?: string;
  readonly images: number;
  readonly resize: ResizeForm;
}

const megabytes = (bytes: Uint8Array) => `${(bytes.length / 2 ** 20).toFixed(1)} MiB`;

/** Checks and locks the place of a file before the work; nothing that is there is replaced unasked. */
function openFile(path: string, model: string, { force = false }: ExportOptions): Promise<OutputFile> {
  return OutputFile.open(path, { command: 'aand export', force, inputs: [model] });
}

async function toTorch(model: string, options: ExportOptions): Promise<void> {
  const stem = options.out.replace(/\.pth$/, '');
  await using first = await openFile(`${stem}_stage1.pth`, model, options);
  await using second = await openFile(`${stem}_stage2.pth`, model, options);
  const bytes = await readBytes(model);
  if ((await readDetector(bytes, model)).settings.region)
    console.error(
      "note: the model inspects a part of the image alone; the authors' files hold no region of interest",
    );
  const { stage1, stage2 } = await exportTorch(bytes, model);
  for (const [file, part] of [
    [first, stage1],
    [second, stage2],
  ] as const) {
    await file.write(part);
    console.log(`${file.path}: ${megabytes(part)}`);
  }
}

async function toHalf(model: string, options: ExportOptions): Promise<void> {
  await using file = await openFile(options.out, model, options);
  const bytes = await exportHalf(await readBytes(model), model);
  await file.write(bytes);
  console.log(`${options.out}: ${megabytes(bytes)}`);
}

async function toOnnx(model: string, options: ExportOptions): Promise<void> {
  const { batch, resize } = options;
  if (options.verify && batch !== 1) throw new UsageError('--verify runs single images: leave --batch at 1');
  const images = options.verify
    ? spread(await findImages([options.verify], unreadableFiles({ separate: true })), options.images)
    : [];
  if (options.verify && !images.length) throw new Error(`${options.verify} holds no images`);
  const bytes = await readBytes(model);
  noteUncalibrated((await readDetector(bytes, model)).settings, model);
  const version = packageVersion();
  await using file = await openFile(options.out, model, options);
  await withEngine(async (engine) => {
    const onnx = await exportDetector(engine, bytes, model, { batch, version, resize });
    await file.write(onnx);
    console.log(`${options.out}: ${megabytes(onnx)}`);
    if (!images.length) return;
    const reporter = new ProgressReporter();
    const result = await compareWithRuntime(
      engine,
      onnx,
      { bytes, path: model },
      images,
      reporter.counting('comparing'),
    );
    reporter.stop();
    console.log(
      `${result.runtime} on ${result.images} images: largest difference of score ` +
        `${result.score.toExponential(1)}, of map ${result.map.toExponential(1)}; ${result.labels} ` +
        'verdicts differ',
    );
  });
}

export function exportCommand(program: Command): void {
  program
    .command('export')
    .description(
      'write a detector as ONNX (image in, uint8 [N,H,W,3]; anomaly_map, raw_score, pred_score, ' +
        "pred_label, pred_mask out) as the authors' .pth files (OUT_stage1.pth, OUT_stage2.pth), or as a " +
        'model of this program at half the size',
    )
    .argument('<model>', 'model.safetensors of aand train')
    .addOption(
      new Option('--to <format>', 'what to write')
        .choices(['onnx', 'pth', 'safetensors-f16'])
        .makeOptionMandatory(),
    )
    .requiredOption('--out <file>', 'the file to write')
    .option('--force', 'replace an existing file; it is kept as a backup')
    .option('--batch <n>', 'images per run of the ONNX graph', batchOption, 1)
    .addOption(
      new Option(
        '--resize <form>',
        'how the ONNX graph resizes: matrix products, which every runtime has, or the operator Resize with ' +
          'antialias, which ONNX Runtime lacks on WebGPU and which is faster for large images on a processor',
      )
        .choices([...resizeForms])
        .default('products'),
    )
    .option(
      '--verify <folder>',
      'run the ONNX file in ONNX Runtime on images of this folder and print the largest difference',
    )
    .option('--images <n>', 'how many images to verify with', countOption, 20)
    .action(async (model: string, options: ExportOptions) => {
      if (options.to === 'pth') await toTorch(model, options);
      else if (options.to === 'safetensors-f16') {
        await toHalf(model, options);
        next(`aand predict ${quoted(options.out)} PHOTOS --dtype f16   judges with half the memory`);
      } else {
        await toOnnx(model, options);
        if (!options.verify)
          next(`the same command with --verify PHOTOS --force compares the file with ONNX Runtime`);
      }
    });
}
