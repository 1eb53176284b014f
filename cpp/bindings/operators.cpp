#include "bindings/operators.h"

#include <set>
#include <string>
#include <utility>

#include "onnx/lift.h"
#include "ops/gpu.h"

namespace py = pybind11;

namespace fastort::bindings {
namespace {

py::dict row(const OpDef& op) {
  py::list types, gpu_types, kernels;
  for (int i = 1; i < kDataTypes; ++i) {
    const auto type = static_cast<DataType>(i);
    if (op.types.has(type)) types.append(std::string(name(type)));
    if (op.gpu && type != DataType::String && op.types.has(type) && op.gpu->types.has(type))
      gpu_types.append(std::string(name(type)));
  }
  for (const Candidate& candidate : op.cpu) kernels.append(std::string(candidate.name));
  py::dict entry;
  entry["domain"] = std::string(op.domain);
  entry["name"] = std::string(op.name);
  entry["types"] = types;
  entry["kernels"] = kernels;
  entry["gpu_types"] = gpu_types;
  return entry;
}

py::list operators() {
  py::list entries;
  std::set<std::pair<std::string_view, std::string_view>> seen;
  for (const OpDef* op : all_ops()) {
    seen.emplace(op->domain, op->name);
    entries.append(row(*op));
  }
  // Old operators that the loader writes with others: they have no kernels of their own.
  for (const std::span<const LiftRow> rows : all_lifts()) {
    for (const LiftRow& lift : rows) {
      if (!seen.emplace(lift.domain, lift.op).second) continue;
      py::dict entry;
      entry["domain"] = std::string(lift.domain);
      entry["name"] = std::string(lift.op);
      entry["types"] = py::list();
      entry["kernels"] = py::list();
      entry["gpu_types"] = py::list();
      entries.append(entry);
    }
  }
  return entries;
}

}  // namespace

void bind_operators(py::module_& module) { module.def("operators", &operators); }

}  // namespace fastort::bindings
