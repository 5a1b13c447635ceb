/** The residual blocks of ResNet-18 by torchvision name, for the engines whose network is written here. */

export const blocks = [1, 2, 3, 4].flatMap((layer) => [`layer${layer}.0`, `layer${layer}.1`]);

export const strideOf = (block) => (block.endsWith('.0') && !block.startsWith('layer1') ? 2 : 1);

/** What batch norm adds to variances. */
export const epsilon = 1e-5;
