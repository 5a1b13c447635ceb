"""Writes PyTorch files for the tests: `make_torch_files.py [SPEC.json FOLDER]`.

Without arguments: the committed fixtures. With them: the files of a whole detector with the teacher's
features, where SPEC = {backbone, block, blocks, expansion, width, size, tensors: {name: shape}}.
"""
import collections
import json
import os
import sys

import torch
import torch.nn.functional as F


def fixtures(folder):
    base = torch.arange(10.0)
    state = collections.OrderedDict(
        [
            ("conv.weight", torch.nn.Parameter(torch.arange(24.0).reshape(2, 3, 4))),
            ("permuted", torch.arange(24.0).reshape(2, 3, 4).permute(2, 0, 1)),
            (
                "channels_last",
                torch.arange(48.0).reshape(2, 3, 2, 4).contiguous(memory_format=torch.channels_last),
            ),
            ("half", torch.tensor([1.5, -2.25]).half()),
            ("bf16", torch.tensor([1.5, -3.0]).bfloat16()),
            ("double", torch.tensor([1e-3]).double()),
            ("num_batches_tracked", torch.tensor(7)),
            ("view", base[3:7]),
            ("shared", base),
            ("int", torch.tensor([-5], dtype=torch.int32)),
            ("flag", torch.tensor([True, False])),
            ("empty", torch.zeros(0, 3)),
        ]
    )
    torch.save(state, os.path.join(folder, "torch_zip.pth"))
    torch.save(
        {"encoder_AT": state, "epoch": 3},
        os.path.join(folder, "torch_legacy.pth"),
        _use_new_zipfile_serialization=False,
    )

    class Hostile:
        def __reduce__(self):
            return (os.system, ("touch /tmp/s/pwned",))

    torch.save({"a": Hostile()}, os.path.join(folder, "torch_hostile.pth"))
    torch.save(torch.nn.Linear(2, 2), os.path.join(folder, "torch_module.pth"))


def values(name, shape):
    torch.manual_seed(sum(name.encode()) * 7919 + len(name))
    if name.endswith("running_var"):
        return torch.rand(shape) + 0.5
    if len(shape) == 4:
        return torch.randn(shape) * (2.0 / (shape[0] * shape[2] * shape[3])) ** 0.5
    return torch.rand(shape) * 0.4 + (0.8 if name.endswith("weight") else -0.2)


def features(s, spec, x):
    def norm(x, name):
        return F.batch_norm(
            x, s[name + ".running_mean"], s[name + ".running_var"], s[name + ".weight"], s[name + ".bias"]
        )

    def block(x, name, stride):
        skip = x
        if name + ".downsample.0.weight" in s:
            skip = norm(F.conv2d(x, s[name + ".downsample.0.weight"], stride=stride), name + ".downsample.1")
        if spec["block"] == "basic":
            x = F.relu(norm(F.conv2d(x, s[name + ".conv1.weight"], stride=stride, padding=1), name + ".bn1"))
            x = norm(F.conv2d(x, s[name + ".conv2.weight"], padding=1), name + ".bn2")
        else:
            x = F.relu(norm(F.conv2d(x, s[name + ".conv1.weight"]), name + ".bn1"))
            x = F.relu(norm(F.conv2d(x, s[name + ".conv2.weight"], stride=stride, padding=1), name + ".bn2"))
            x = norm(F.conv2d(x, s[name + ".conv3.weight"]), name + ".bn3")
        return F.relu(x + skip)

    x = F.max_pool2d(F.relu(norm(F.conv2d(x, s["conv1.weight"], stride=2, padding=3), "bn1")), 3, 2, 1)
    result = []
    for level, count in enumerate(spec["blocks"]):
        for i in range(count):
            x = block(x, "layer%d.%d" % (level + 1, i), 2 if level and i == 0 else 1)
        result.append(x)
    return result


def detector(spec, folder):
    parts = {"teacher.": {}, "bottleneck.": {}, "student.": {}}
    for name, shape in spec["tensors"].items():
        prefix = name.split(".")[0] + "."
        parts[prefix][name[len(prefix) :]] = values(name, shape)
    teacher = {name: value for name, value in parts["teacher."].items() if not name.startswith("feat_recons")}
    extra = {
        "layer4.0.conv1.weight": torch.zeros(8, 4, 3, 3),
        "fc.weight": torch.zeros(10, 8),
        "fc.bias": torch.zeros(10),
        "bn1.num_batches_tracked": torch.tensor(3),
    }
    torch.save(
        collections.OrderedDict(teacher, **extra),
        os.path.join(folder, "torchvision.pth"),
        _use_new_zipfile_serialization=False,
    )
    torch.save(
        {"encoder_AT": collections.OrderedDict(parts["teacher."], **extra)},
        os.path.join(folder, "stage1.pth"),
    )
    bn = collections.OrderedDict(parts["bottleneck."])
    bn["conv4.weight"] = torch.zeros(4, 4, 1, 1)
    bn["memory.keys"] = torch.zeros(3)
    torch.save(
        {"bn": bn, "decoder_ss": collections.OrderedDict(parts["student."])},
        os.path.join(folder, "stage2.pth"),
    )
    torch.save(
        {"bn": bn, "decoder": collections.OrderedDict(parts["student."])}, os.path.join(folder, "rd4ad.pth")
    )
    size = spec["size"]
    image = torch.sin(torch.arange(3 * size * size).float() * 0.37).reshape(1, 3, size, size)
    with torch.no_grad():
        for level, feature in enumerate(features(teacher, spec, image)):
            with open(os.path.join(folder, "feature%d.bin" % level), "wb") as out:
                out.write(feature.permute(0, 2, 3, 1).contiguous().numpy().tobytes())


if len(sys.argv) == 1:
    fixtures(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../fixtures"))
elif sys.argv[1] == "--check":
    for path in sys.argv[2:]:
        state = torch.load(path, weights_only=True)
        flat = {
            k: v
            for part, inner in state.items()
            for k, v in (inner.items() if hasattr(inner, "items") else [(part, inner)])
        }
        print(
            json.dumps(
                {
                    "keys": list(state)[:2],
                    "tensors": len(flat),
                    "sum": float(sum(v.double().sum() for v in flat.values())),
                }
            )
        )
else:
    with open(sys.argv[1]) as file:
        detector(json.load(file), sys.argv[2])
