/** The official ImageNet weights: where they are, and how their files are recognised. */
import type { BackboneName } from '../model/backbone.ts';

export interface OfficialWeights {
  readonly url: string;
  readonly file: string;
  /** First hexadecimal digits of the file's SHA-256, as the file's name carries them. */
  readonly sha256: string;
}

const host = 'https://download.pytorch.org/models/';

function official(file: string): OfficialWeights {
  return { url: host + file, file, sha256: /-([0-9a-f]{8})\./.exec(file)?.[1] as string };
}

/** torchvision's IMAGENET1K_V1 files (method, 3.1). */
export const officialWeights: Readonly<Record<BackboneName, OfficialWeights>> = {
  resnet18: official('resnet18-f37072fd.pth'),
  resnet34: official('resnet34-b627a593.pth'),
  resnet50: official('resnet50-0676ba61.pth'),
  wide_resnet50_2: official('wide_resnet50_2-95faca4d.pth'),
};
