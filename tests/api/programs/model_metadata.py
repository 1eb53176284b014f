"""What a model says of itself."""

import onnx.parser
import onnxruntime as ort

model = onnx.parser.parse_model(
    '<ir_version: 10, opset_import: ["" : 21], producer_name: "maker", producer_version: "2", domain: "org.example",'
    ' model_version: 7, doc_string: "Negates."> net (float[n] x) => (float[n] y) { y = Neg(x) }'
)
model.graph.doc_string = "one node"
entry = model.metadata_props.add()
entry.key, entry.value = "labels", "cat,dog"
meta = ort.InferenceSession(model.SerializeToString()).get_modelmeta()
results = {
    "meta": [meta.producer_name, meta.graph_name, meta.domain, meta.description, meta.graph_description, meta.version],
    "custom": meta.custom_metadata_map,
}
