"""Times the networks that the bench wrote in PyTorch: eager, CUDA graphs, compiled; TF32 off and on; f16.

torch_peers.py FOLDER SECONDS [--cpu]: prints a line of JSON per measurement, and one that says why where it
cannot measure. FOLDER holds networks.json and, per network, its function as Python, its weights, its pixels
and the map that the bench's own engine computed from them."""
import importlib.util
import json
import os
import statistics
import sys
import time

started = time.perf_counter()


def say(**message):
    print(json.dumps(message), flush=True)


try:
    import numpy as np
    import torch
except Exception as error:
    say(skipped=f"python3 has no PyTorch: {error}")
    sys.exit(0)

folder, seconds = sys.argv[1], float(sys.argv[2])
on_cpu = "--cpu" in sys.argv
if not torch.cuda.is_available() and not on_cpu:
    say(skipped=f"PyTorch {torch.__version__} finds no CUDA device")
    sys.exit(0)
device = torch.device("cpu" if on_cpu else "cuda")
name = "cpu" if on_cpu else torch.cuda.get_device_name(0)
say(version=torch.__version__, cuda=str(torch.version.cuda), device=name)


def left():
    return seconds - (time.perf_counter() - started)


def wait():
    if not on_cpu:
        torch.cuda.synchronize()


class Network:
    def __init__(self, entry):
        self.entry = entry
        path = os.path.join(folder, entry["source"])
        spec = importlib.util.spec_from_file_location(entry["name"], path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        self.function = module.network
        values = torch.from_numpy(np.fromfile(os.path.join(folder, entry["weights"]), dtype=np.float32))
        self.p = [
            values[offset : offset + length].reshape(shape).to(device)
            for shape, offset, length in entry["parameters"]
        ]
        size = entry["size"]
        pixels = np.fromfile(os.path.join(folder, entry["pixels"]), dtype=np.uint8)
        self.pixels = torch.from_numpy(pixels.reshape(-1, size, size, 3))
        self.expected = np.fromfile(os.path.join(folder, entry["map"]), dtype=np.float32)
        self.mean = torch.tensor(entry["mean"], device=device).view(1, 3, 1, 1) * 255
        self.deviation = torch.tensor(entry["deviation"], device=device).view(1, 3, 1, 1) * 255

    def normalized(self, pixels):
        return (pixels.permute(0, 3, 1, 2).float() - self.mean) / self.deviation


def timed(work, limit):
    """Median milliseconds over runs, one after the other; at least three."""
    samples = []
    began = time.perf_counter()
    while len(samples) < 3 or time.perf_counter() - began < limit:
        before = time.perf_counter()
        work()
        samples.append(1000 * (time.perf_counter() - before))
    return statistics.median(samples)


def measure(network, batch, form, precision):
    torch.backends.cuda.matmul.allow_tf32 = precision == "tf32"
    torch.backends.cudnn.allow_tf32 = precision == "tf32"
    torch.backends.cudnn.benchmark = True
    half = precision == "f16"
    host = network.pixels[:batch].contiguous()
    if not on_cpu:
        host = host.pin_memory()
    images = network.normalized(host.to(device))
    if half:
        images = images.contiguous(memory_format=torch.channels_last)
    function = network.function
    if form == "compiled":
        torch._dynamo.reset()
        function = torch.compile(function)

    def forward(x):
        if half:
            with torch.autocast("cuda", dtype=torch.float16):
                return function(x, network.p)
        return function(x, network.p)

    with torch.no_grad():
        for _ in range(3):
            forward(images)
        wait()
        if form == "graph":
            place = images.clone()
            stream = torch.cuda.Stream()
            stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(stream):
                for _ in range(3):
                    forward(place)
            torch.cuda.current_stream().wait_stream(stream)
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph):
                kept = forward(place)

            def run(x):
                place.copy_(x)
                graph.replay()
                return kept

            def alone():
                graph.replay()
                wait()

        else:
            run = forward

            def alone():
                forward(images)
                wait()

        def whole():
            result, score = run(network.normalized(host.to(device, non_blocking=True)))
            return result.float().cpu(), score.float().cpu()

        result, _ = whole()
        found = result.numpy().reshape(batch, -1)[0]
        difference = float(np.abs(found - network.expected).max() / np.abs(network.expected).max())
        whole()
        limit = min(1.0, max(0.1, left() / 20))
        return {"whole": timed(whole, limit), "alone": timed(alone, limit), "difference": difference}


with open(os.path.join(folder, "networks.json")) as file:
    networks = json.load(file)
forms = ["eager"] if on_cpu else ["eager", "graph"]
precisions = ["f32"] if on_cpu else ["f32", "tf32", "f16"]
batches = networks["batches"]
# What matters most comes first: the time may be up before the end.
count = len(networks["networks"])
order = [(n, b, form, p) for form in forms for p in precisions for n in range(count) for b in batches]
if not on_cpu:
    order += [(n, b, "compiled", p) for p in ["f32", "tf32", "f16"] for n in [1, 0] for b in batches[:2]]
loaded = {}
for index, batch, form, precision in order:
    entry = networks["networks"][index % count]
    label = dict(network=entry["name"], batch=batch, form=form, precision=precision)
    if left() < (15 if form == "compiled" else 2):
        say(**label, error="not run: the time of this part was up")
        continue
    try:
        if entry["name"] not in loaded:
            loaded[entry["name"]] = Network(entry)
        say(**label, **measure(loaded[entry["name"]], batch, form, precision))
    except Exception as error:
        say(**label, error=f"{type(error).__name__}: {error}"[:500])
