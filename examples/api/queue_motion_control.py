# ruff: noqa: E401, I001, INP001, S310, T201 - an example of ten lines
"""Queue motion_control.json and print the saved file. Give the address: http://127.0.0.1:8188, say."""

import json, sys, time, urllib.request
from pathlib import Path

url, prompt = sys.argv[1], json.loads(Path(__file__).with_name("motion_control.json").read_text())
body = json.dumps({"prompt": prompt}).encode()
request = urllib.request.Request(f"{url}/prompt", body, {"Content-Type": "application/json"})
prompt_id = json.load(urllib.request.urlopen(request))["prompt_id"]
while not (history := json.load(urllib.request.urlopen(f"{url}/history/{prompt_id}"))):
    time.sleep(1)
print(json.dumps(history[prompt_id]["outputs"] or history[prompt_id]["status"], indent=1))
