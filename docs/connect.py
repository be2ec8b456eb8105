"""Connects two `demo stdio` peers and sends a message: python3 docs/connect.py target/release/demo"""

import json, queue, subprocess, sys, threading

events = queue.Queue()


def start(name, *options):
    command = [sys.argv[1], "stdio", "--loopback", "--verbose", "--timeout", "60", *options]
    return name, subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)


def read(name, process):
    for line in process.stdout:
        events.put((name, json.loads(line)))
    events.put((name, None))


def write(name, message):
    peers[name].stdin.write(json.dumps(message) + "\n")


peers = dict([start("offerer", "--role", "offerer"), start("answerer", "--mode", "idle")])
for peer in peers.items():
    threading.Thread(target=read, args=peer, daemon=True).start()

running = len(peers)
while running:
    name, event = events.get()
    if event is None:
        running -= 1
    elif "type" in event:  # an offer, an answer or a candidate is for the other side
        write("answerer" if name == "offerer" else "offerer", event)
    elif event["event"] == "open" and name == "offerer":
        write(name, {"cmd": "send", "label": event["label"], "text": "hello"})
    elif event["event"] == "message":
        print(f"the {name} received a {event['kind']} message of {event['size']} bytes")
        write(name, {"cmd": "close"})
sys.exit(any(process.wait() for process in peers.values()))
