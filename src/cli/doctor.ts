/** `aand doctor`: what this machine offers, what is missing, and how fast it is. */
import type { Command } from 'commander';
import { exists } from '#platform';
import { Engine } from '../engine/device.ts';
import { measurePeaks } from '../engine/peak.ts';
import { packagedFile, packageVersion } from './package.ts';

const limits = [
  'maxBufferSize',
  'maxStorageBufferBindingSize',
  'maxStorageBuffersPerShaderStage',
  'maxComputeWorkgroupStorageSize',
  'maxComputeInvocationsPerWorkgroup',
] as const;

export function doctorCommand(program: Command): void {
  program
    .command('doctor')
    .description('print adapter, driver, features, limits and measured peaks, and what is missing')
    .action(async () => {
      console.log(
        `aand-webgpu  ${await packageVersion()}, Node ${process.version}, ${process.platform} ${process.arch}`,
      );
      const teacher = packagedFile('weights/teacher_resnet18.safetensors');
      console.log(
        `teacher      ${(await exists(teacher)) ? teacher : `missing: ${teacher}; pass --weights to aand train`}`,
      );
      const engine = await Engine.open();
      try {
        const { adapter, device, target } = engine;
        console.log(
          `adapter      ${adapter.vendor} ${adapter.architecture}${adapter.software ? ' (a software driver, not a GPU)' : ''}`,
        );
        console.log(`driver       ${adapter.description || 'not named'}`);
        console.log(
          `subgroups    ${target.subgroupSize ? `size ${target.subgroupSize}` : 'none: kernels without subgroups are used'}`,
        );
        console.log(`features     ${adapter.features.join(', ')}`);
        for (const name of limits) console.log(`limit        ${name} ${device.limits[name]}`);
        const { gflops, gbytesPerSecond } = await measurePeaks(engine);
        console.log(`FMA peak     ${gflops.toFixed(0)} GFLOP/s (measured, float32)`);
        console.log(`copy peak    ${gbytesPerSecond.toFixed(1)} GB/s (measured, read + write)`);
        if (adapter.software)
          console.log(
            'advice       it works, but a GPU with its Vulkan driver is 10 to 100 times faster; see README.md, "Machines"',
          );
      } finally {
        await engine.close();
      }
    });
}
