#pragma once

#include <cstddef>
#include <string>

#include "graph/graph.h"

namespace fastort {

struct SaveOptions {
  // File name, relative to the model's folder, for weights of at least `external_threshold` bytes; empty: all inside
  // the model. Only save_model_file writes it.
  std::string external_file;
  size_t external_threshold = 1024;
};

// The model as ONNX bytes at the newest opset. Operators without an ONNX schema keep their domain. Throws Error(Fail)
// where it does not fit the 2 GB of a protobuf message.
std::string save_model_bytes(const Model& model);
void save_model_file(const Model& model, const std::string& path, const SaveOptions& options = {});

}  // namespace fastort
