"""ResNet-18 in PyTorch (on CUDA where it is there, else on the CPU): forward in eval mode, or an Adam step.

The protocol is that of worker.mjs."""
import json
import sys
import time

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

config = json.loads(sys.argv[1])
device = torch.device("cuda" if torch.cuda.is_available() else "cpu")


class Block(nn.Module):
    def __init__(self, inputs, planes, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, planes, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = nn.Conv2d(planes, planes, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.downsample = None
        if stride != 1 or inputs != planes:
            self.downsample = nn.Sequential(
                nn.Conv2d(inputs, planes, 1, stride, bias=False), nn.BatchNorm2d(planes)
            )

    def forward(self, x):
        inner = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(inner)) + (self.downsample(x) if self.downsample else x))


class ResNet18(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        inputs = 64
        for level, planes in enumerate((64, 128, 256, 512)):
            first = Block(inputs, planes, 1 if level == 0 else 2)
            setattr(self, f"layer{level + 1}", nn.Sequential(first, Block(planes, planes, 1)))
            inputs = planes
        self.fc = nn.Linear(512, 1000)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(x))), 3, 2, 1)
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(x.mean((2, 3)))


def load(folder):
    with open(f"{folder}/weights.json") as file:
        index = json.load(file)
    values = np.fromfile(f"{folder}/weights.bin", dtype=np.float32)
    state = {}
    for name, entry in index.items():
        tensor = torch.from_numpy(values[entry["offset"] : entry["offset"] + entry["length"]].copy())
        state[name] = tensor.reshape(entry["shape"][:2] if name == "fc.weight" else entry["shape"])
    return state


def send(message):
    print("@" + json.dumps(message), flush=True)


torch.set_num_threads(2)
model = ResNet18()
model.load_state_dict(load(config["folder"]), strict=False)
model.to(device)
images = (
    torch.from_numpy(np.fromfile(f"{config['folder']}/images.bin", dtype=np.float32))
    .reshape(config["shape"])
    .to(device)
)

if config["work"] == "forward":
    model.eval()

    def run():
        with torch.no_grad():
            return model(images).flatten().cpu().tolist()

else:
    model.train()
    labels = torch.tensor(config["labels"], device=device)
    optimizer = torch.optim.Adam(model.parameters(), lr=config["learningRate"], betas=(0.5, 0.999), eps=1e-8)

    def run():
        loss = F.cross_entropy(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return [loss.item()]


output = run()
run()
send({"version": torch.__version__, "adapter": device.type, "output": output})
for _ in sys.stdin:
    started = time.perf_counter()
    run()
    send({"milliseconds": 1000 * (time.perf_counter() - started)})
