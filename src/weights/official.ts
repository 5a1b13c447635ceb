/** The official ImageNet weights: where they are, and how their files are recognised. */

export interface OfficialWeights {
  readonly url: string;
  readonly file: string;
  /** SHA-256 of the file, in hexadecimal digits; the file's name carries the first eight. */
  readonly sha256: string;
  readonly bytes: number;
}

const host = 'https://download.pytorch.org/models/';

function official(file: string, sha256: string, bytes: number): OfficialWeights {
  return { url: host + file, file, sha256, bytes };
}

/**
 * torchvision's IMAGENET1K_V1 files by backbone (method, 3.1). torchvision publishes the first eight digits,
 * in the files' names. Public users of the files wrote down whole digests and sizes, several of them
 * independently and alike (bunsen's table of checkpoints for the three ResNets among them): those stand here.
 */
export const officialWeights: Readonly<Record<string, OfficialWeights>> = {
  resnet18: official(
    'resnet18-f37072fd.pth',
    'f37072fd47e89c5e827621c5baffa7500819f7896bbacec160b1a16c560e07ec',
    46_830_571,
  ),
  resnet34: official(
    'resnet34-b627a593.pth',
    'b627a593bcbe140c234610266fe4f8ae95ea42fc881d091c9b6052e6b1d0590f',
    87_319_819,
  ),
  resnet50: official(
    'resnet50-0676ba61.pth',
    '0676ba61b6795bbe1773cffd859882e5e297624d384b6993f7c9e683e722fb8a',
    102_530_333,
  ),
  wide_resnet50_2: official(
    'wide_resnet50_2-95faca4d.pth',
    '95faca4d11227dddf8633dbb5ff6c8a9003c1aa5b8945c73834b8007b10950b8',
    138_223_492,
  ),
};
