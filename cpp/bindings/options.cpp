#include "bindings/options.h"

#include <pybind11/stl.h>

#include "base/error.h"
#include "bindings/construction.h"
#include "bindings/convert.h"
#include "bindings/custom_ops.h"
#include "bindings/errors.h"
#include "bindings/ort_value.h"

namespace py = pybind11;

namespace fastort::bindings {
namespace {

constexpr size_t kMaxConfigKey = 1024;

template <class T>
void read(const py::object& options, const char* name, T& into) {
  into = options.attr(name).cast<T>();
}

std::map<std::string, Tensor> read_initializers(const py::object& options) {
  std::map<std::string, Tensor> initializers;
  for (const auto& [name, value] : options.attr("_initializers").cast<py::dict>()) {
    const Value* held = held_value(value.ptr());
    if (!held || !held->is_tensor())
      raise(PyExc_TypeError, "the initializer " + py::repr(name).cast<std::string>() + " is no OrtValue with a tensor");
    initializers.emplace(name.cast<std::string>(), held->tensor());
  }
  return initializers;
}

// Contents of files by name; a bytes object is kept alive by its buffer.
std::map<std::string, std::shared_ptr<Buffer>> read_files(const py::object& options) {
  std::map<std::string, std::shared_ptr<Buffer>> files;
  for (const auto& [name, contents] : options.attr("_external_files").cast<py::dict>()) {
    PyObject* owner = contents.inc_ref().ptr();
    files[name.cast<std::string>()] = Buffer::wrap(
        PyBytes_AS_STRING(owner), static_cast<size_t>(PyBytes_GET_SIZE(owner)), [owner] { release_object(owner); });
  }
  return files;
}

// How copies and other processes make the same options.
py::tuple reduce_run_options(const py::object& self) {
  py::dict state;
  for (const char* name : {"terminate", "timeout_seconds", "log_severity_level", "log_verbosity_level", "logid",
                           "only_execute_path_to_fetches"})
    state[name] = self.attr(name);
  const py::object restore = py::module_::import("fastort._options").attr("restore_run_options");
  return py::make_tuple(restore,
                        py::make_tuple(py::type::of(self), state, self.cast<const RunOptions&>().config_entries),
                        py::getattr(self, "__dict__", py::none()));
}

std::string run_config_entry(const RunOptions& options, const std::string& key) {
  const auto entry = options.config_entries.find(key);
  if (entry == options.config_entries.end())
    raise(PyExc_RuntimeError, "RunOptions does not have configuration with key: " + key);
  return entry->second;
}

}  // namespace

SessionOptions session_options(const py::object& options) {
  SessionOptions result;
  if (options.is_none()) return result;
  read(options, "intra_op_num_threads", result.intra_op_num_threads);
  read(options, "inter_op_num_threads", result.inter_op_num_threads);
  result.optimization_level = py::int_(options.attr("graph_optimization_level")).cast<int>();
  result.execution_mode = py::int_(options.attr("execution_mode")).cast<int>();
  read(options, "enable_profiling", result.enable_profiling);
  read(options, "profile_file_prefix", result.profile_file_prefix);
  read(options, "enable_mem_pattern", result.enable_mem_pattern);
  read(options, "enable_cpu_mem_arena", result.enable_cpu_mem_arena);
  read(options, "enable_mem_reuse", result.enable_mem_reuse);
  read(options, "use_deterministic_compute", result.use_deterministic_compute);
  read(options, "log_severity_level", result.log_severity_level);
  read(options, "log_verbosity_level", result.log_verbosity_level);
  read(options, "logid", result.logid);
  read(options, "optimized_model_filepath", result.optimized_model_filepath);
  read(options, "disabled_passes", result.disabled_passes);
  read(options, "_config_entries", result.config_entries);
  read(options, "_free_dimensions_by_name", result.free_dimension_by_name);
  read(options, "_free_dimensions_by_denotation", result.free_dimension_by_denotation);
  result.initializers = read_initializers(options);
  result.external_files = read_files(options);
  for (const py::handle source : options.attr("_custom_ops"))
    for (const py::handle op : source.attr("ops")) result.custom_ops.push_back(op.cast<const CustomOpHandle&>().op);
  result.load_cancelled = options.attr("_load_cancelled").cast<const Flag&>().value;
  for (const auto& [name, entries] : options.attr("_chosen_providers").cast<py::dict>())
    result.providers.emplace_back(name.cast<std::string>(), entries.cast<std::map<std::string, std::string>>());
  return result;
}

void bind_run_options(py::module_& module) {
  py::class_<Flag> flag(module, "Flag", "A truth value that the engine sees when another thread changes it.");
  flag.def(py::init<>())
      .def(
          "set", [](Flag& self, bool value) { self.value->store(value); }, py::arg("value"))
      .def("get", [](const Flag& self) { return self.value->load(); });
  construct_at_once(flag);
  forbid_pickling(flag);
  py::class_<RunOptions> type(module, "RunOptions",
                              R"(Options of one call of ``InferenceSession.run``.

Attributes:
    terminate: Set it to ``True``, from any thread, to stop the runs that were given these options; they raise ``Fail``.
        It stays set until it is set back.
    timeout_seconds: A run that takes longer is stopped and raises ``Fail``; 0 means without a limit.
    log_severity_level: 0 (verbose) to 4 (fatal); -1 for the session's.
    log_verbosity_level: Only used with ``log_severity_level`` 0.
    logid: A name that stands in front of what is logged.
    only_execute_path_to_fetches: Leave out what the asked outputs do not need.)");
  type.def(py::init([] {
        auto options = std::make_unique<RunOptions>();
        options->log_severity_level = -1;
        return options;
      }))
      .def_property(
          "terminate", [](const RunOptions& self) { return self.terminate.load(); },
          [](RunOptions& self, bool terminate) { self.terminate.store(terminate); })
      .def_property(
          "timeout_seconds", [](const RunOptions& self) { return self.timeout_seconds; },
          [](RunOptions& self, double seconds) {
            if (!(seconds >= 0)) raise(PyExc_ValueError, "timeout_seconds is 0 (no limit) or positive");
            self.timeout_seconds = seconds;
          })
      .def_readwrite("log_severity_level", &RunOptions::log_severity_level)
      .def_readwrite("log_verbosity_level", &RunOptions::log_verbosity_level)
      .def_readwrite("logid", &RunOptions::logid)
      .def_readwrite("only_execute_path_to_fetches", &RunOptions::only_execute_path_to_fetches)
      .def(
          "add_run_config_entry",
          [](RunOptions& self, std::string key, std::string value) {
            if (key.empty() || key.size() > kMaxConfigKey)
              raise(PyExc_RuntimeError,
                    "Config key is empty or longer than maximum length " + std::to_string(kMaxConfigKey));
            if (key.starts_with("fastort."))
              raise(PyExc_RuntimeError,
                    "fastort knows no entry '" + key +
                        "' of a run; its entries are set by SessionOptions.add_session_config_entry");
            self.config_entries.insert_or_assign(std::move(key), std::move(value));
          },
          py::arg("key"), py::arg("value"),
          "Sets a configuration entry; keys that the engine does not know are kept, but for those that begin with\n"
          "\"fastort.\", which are refused.")
      .def("get_run_config_entry", &run_config_entry, py::arg("key"),
           "Returns a configuration entry; raises RuntimeError where there is none.")
      .def("__reduce__", &reduce_run_options);
  type.attr("__module__") = "fastort";
  construct_at_once(type);
}

}  // namespace fastort::bindings
