#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "graph/graph.h"
#include "tensor/buffer.h"
#include "tensor/tensor.h"

namespace fastort {

// What is known of a value while a model is read.
struct ValueFacts {
  ValueType type;
  const Tensor* constant = nullptr;
  std::optional<Shape> dims;  // the value of an integer tensor of rank <= 1, symbols allowed
};

struct LoadOptions {
  // Operators that the engine has in their newest form; all others are expanded into their ONNX function bodies, and
  // refused where they have none. Without it nothing is expanded and nothing refused but what the schemas lack.
  std::function<bool(std::string_view domain, std::string_view op)> has_op;
  // The engine's inference for one node: the facts of its outputs. It is asked only where the meaning of an old
  // operator or of a function body depends on a rank or a type; without it such a place gets arithmetic on shapes, or
  // is refused.
  std::function<std::vector<ValueFacts>(const Node&, std::span<const ValueFacts> inputs, SymbolTable&)> infer;
  // Sizes for symbolic dimensions of the graph's inputs, by the dimension's name and by its denotation.
  std::map<std::string, int64_t> free_dimensions_by_name;
  std::map<std::string, int64_t> free_dimensions_by_denotation;
  // Values that take the place of the model's initializers of these names; external data is then not read for them.
  std::map<std::string, Tensor> external_initializers;
  // Contents of external data files by their `location`, read instead of the files.
  std::map<std::string, std::shared_ptr<Buffer>> external_files;
};

// Reads a model with every operator lifted to the newest opset. Weights stay in the memory-mapped file where their
// alignment allows. Types of inputs, outputs and declared inner values are set; all others are left to inference.
// An overridable initializer keeps its default in ValueInfo::constant and stands in Graph::overridable.
// Throws Error: NoSuchFile, InvalidProtobuf, InvalidGraph, NotImplemented, Fail.
Model load_model_file(const std::string& path, const LoadOptions& options = {});

// The same from memory. With `keep_alive`, which must hold `bytes`, weights are views of it; without, they are copied.
// Locations of external data are relative to `base_folder` (empty: the working directory).
Model load_model_bytes(std::span<const std::byte> bytes, std::shared_ptr<Buffer> keep_alive,
                       const LoadOptions& options = {}, const std::string& base_folder = {});

}  // namespace fastort
