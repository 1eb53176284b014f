"""What programs import from ``onnxruntime.transformers`` to run models; ONNX Runtime's optimizer is not a part of it.

Where ONNX Runtime is installed beside fastort, ``install_as_onnxruntime()`` gives its own modules of this name.
"""
