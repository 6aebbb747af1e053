"""The formats of exported students, and the names of their files."""

FILES = {"safetensors": "model.safetensors", "onnx": "model.onnx", "torch-export": "model.pt2"}
INT8 = "model-int8.onnx"
