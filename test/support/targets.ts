/** Adapters that this machine does not have, as its software driver can play them: correctness, not speed. */
export const otherTargets = {
  'a real GPU (workgroup tiles)': {
    software: false,
    parallelism: 512,
    textures: false,
    winograd: false,
    epilogueStatistics: true,
  },
  'a software driver without subgroups': { subgroupSize: 0 },
} as const;
