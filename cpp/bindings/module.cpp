#define FASTORT_IMPORTS_NUMPY
#include <pybind11/stl.h>

#include "base/cpu_info.h"
#include "base/log.h"
#include "base/random_seed.h"
#include "base/thread_pool.h"
#include "bindings/convert.h"
#include "bindings/custom_ops.h"
#include "bindings/errors.h"
#include "bindings/operators.h"
#include "bindings/options.h"
#include "bindings/ort_value.h"
#include "bindings/session.h"
#include "runtime/devices.h"

namespace py = pybind11;

namespace fastort::bindings {
namespace {

void import_numpy() {
  if (PyArray_ImportNumPyAPI() < 0) throw py::error_already_set();
}

// Hands what the engine has to say to `function(severity, text)`, which may be called from any thread.
void set_logger(const py::object& function) {
  if (function.is_none()) {
    set_log_sink({});
    return;
  }
  PyObject* callable = function.inc_ref().ptr();  // for as long as the process lives
  set_log_sink([callable](Severity severity, std::string_view message) {
    if (!Py_IsInitialized()) return;
    const py::gil_scoped_acquire acquired;
    // A raising logger must not change what the engine does.
    PyObject* text = PyUnicode_DecodeUTF8(message.data(), static_cast<Py_ssize_t>(message.size()), "replace");
    PyObject* result = PyObject_CallFunction(callable, "iN", static_cast<int>(severity), text);
    if (!result) PyErr_WriteUnraisable(callable);
    Py_XDECREF(result);
  });
}

py::list list_vulkan_devices() {
  py::list devices;
  for (const VulkanDevice& device : vulkan_devices()) {
    py::dict entry;
    entry["name"] = device.name;
    entry["kind"] = device.kind;
    entry["vendor_id"] = device.vendor_id;
    entry["product_id"] = device.product_id;
    entry["vulkan_version"] = device.vulkan_version;
    entry["is_cpu"] = device.is_cpu;
    entry["refusal"] = device.refusal;
    entry["reads_host_memory"] = device.reads_host_memory;
    entry["subgroup"] = device.traits.subgroup;
    entry["cores"] = device.traits.cores;
    py::list matrices;
    for (const GpuMatrices& shape : device.traits.matrices) matrices.append(py::make_tuple(shape.m, shape.n, shape.k));
    entry["matrices"] = matrices;
    devices.append(entry);
  }
  return devices;
}

py::dict device_memory_stats() {
  const DeviceMemory memory = device_memory();
  py::dict stats;
  stats["held_bytes"] = memory.held;
  stats["used_bytes"] = memory.used;
  stats["allocations"] = memory.pieces;
  stats["copied_bytes"] = memory.copied;
  return stats;
}

}  // namespace
}  // namespace fastort::bindings

// Safe without a GIL: what threads share in the bindings is made once, or guarded by a lock or a critical section.
PYBIND11_MODULE(_engine, module, pybind11::mod_gil_not_used()) {
  using namespace fastort::bindings;
  import_numpy();
  module.doc() = "fastort's engine; the public names are in the package `fastort`.";
  module.attr("__version__") = FASTORT_VERSION;
  bind_errors(module);
  bind_run_options(module);
  bind_ort_value(module);
  bind_session(module);
  bind_operators(module);
  bind_custom_ops(module);
  module.def("set_logger", &set_logger, py::arg("function"));
  module.def("buffer_of_capsule", &buffer_of_capsule, py::arg("capsule"));
  module.def("vulkan_devices", &list_vulkan_devices);
  module.def("vulkan_refusal", &fastort::vulkan_refusal, py::arg("options"));
  module.def("device_memory", &device_memory_stats);
  module.def("usable_cpus", &fastort::usable_cpus);
  module.def("set_seed", &fastort::set_random_seed, py::arg("seed"));
  module.def("cpu_name", &fastort::cpu_name);
}
