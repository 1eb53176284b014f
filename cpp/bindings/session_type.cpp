#include <pybind11/stl.h>

#include <string>

#include "bindings/construction.h"
#include "bindings/errors.h"
#include "bindings/options.h"
#include "bindings/session.h"
#include "runtime/pack_store.h"

namespace py = pybind11;

namespace fastort::bindings {
namespace {

// ONNX Runtime's texts name the file in front of what is wrong with its contents.
[[noreturn]] void fail_load(const std::string& path, const Error& error) {
  if (error.code() == ErrorCode::Cancelled) throw error;
  constexpr ErrorCode kLoading[] = {ErrorCode::NoSuchFile, ErrorCode::InvalidProtobuf, ErrorCode::InvalidGraph,
                                    ErrorCode::InvalidArgument};
  const std::string text = error.what();
  if (std::find(std::begin(kLoading), std::end(kLoading), error.code()) == std::end(kLoading) ||
      text.starts_with("Load model"))
    throw error;
  fail(error.code(), "Load model from " + path + " failed:" + text);
}

std::unique_ptr<PySession> from_file(const std::string& path, const py::object& options) {
  const SessionOptions engine_options = session_options(options);
  std::unique_ptr<Session> session;
  {
    const py::gil_scoped_release released;
    try {
      session = Session::from_file(path, engine_options);
    } catch (const Error& error) {
      fail_load(path, error);
    }
  }
  return std::make_unique<PySession>(std::move(session));
}

std::unique_ptr<PySession> from_bytes(const py::bytes& bytes, const py::object& options) {
  const SessionOptions engine_options = session_options(options);
  char* data = PyBytes_AS_STRING(bytes.ptr());
  const auto size = static_cast<size_t>(PyBytes_GET_SIZE(bytes.ptr()));
  // Weights may stay where they lie in the bytes for as long as the session lives.
  PyObject* owner = bytes.inc_ref().ptr();
  auto buffer = Buffer::wrap(data, size, [owner] { release_object(owner); });
  std::unique_ptr<Session> session;
  {
    const py::gil_scoped_release released;
    session = Session::from_bytes({reinterpret_cast<const std::byte*>(data), size}, std::move(buffer), engine_options);
  }
  return std::make_unique<PySession>(std::move(session));
}

py::object text(const std::string& value) {
  PyObject* object = text_to_python(value);
  if (!object) throw py::error_already_set();
  return py::reinterpret_steal<py::object>(object);
}

// (name, type, shape) of each; a dimension is an int, a symbol's name or None.
py::list describe_args(const std::vector<NodeArgInfo>& infos) {
  py::list list;
  for (const NodeArgInfo& info : infos) {
    py::list shape;
    for (const auto& dim : info.dims) {
      if (const auto* size = std::get_if<int64_t>(&dim))
        shape.append(*size);
      else if (const auto* symbol = std::get_if<std::string>(&dim))
        shape.append(text(*symbol));
      else
        shape.append(py::none());
    }
    list.append(py::make_tuple(text(info.name), type_string(info.type), shape));
  }
  return list;
}

py::dict model_meta(const PySession& self) {
  const auto session = self.session();
  const ModelInfo& info = session->model_info();
  py::dict metadata;
  for (const auto& [key, value] : info.metadata) metadata[text(key)] = text(value);
  py::dict meta;
  meta["producer_name"] = text(info.producer_name);
  meta["producer_version"] = text(info.producer_version);
  meta["graph_name"] = text(info.graph_name);
  meta["domain"] = text(info.domain);
  meta["description"] = text(info.doc_string);
  meta["graph_description"] = text(info.graph_doc_string);
  meta["version"] = info.model_version;
  meta["ir_version"] = info.ir_version;
  meta["opsets"] = py::cast(info.opsets);
  meta["custom_metadata_map"] = metadata;
  return meta;
}

py::list describe_types(const std::vector<TensorDesc>& descs) {
  py::list list;
  for (const TensorDesc& desc : descs) {
    if (desc.type == DataType::Undefined) continue;
    py::tuple shape(static_cast<size_t>(desc.shape.rank()));
    for (size_t i = 0; i < shape.size(); ++i) shape[i] = desc.shape[i];
    list.append(py::make_tuple(std::string(name(desc.type)), shape,
                               static_cast<size_t>(desc.shape.count()) * element_size(desc.type)));
  }
  return list;
}

// A dict for each event of the profile that ends.
py::list stop_profiling(const PySession& self) {
  std::vector<ProfileEvent> events;
  {
    const auto session = self.session();
    const py::gil_scoped_release released;
    events = session->stop_profiling();
  }
  py::list list;
  for (const ProfileEvent& event : events) {
    py::dict entry;
    entry["is_node"] = event.kind == ProfileEvent::Kind::Node;
    entry["name"] = text(event.name);
    entry["op_type"] = text(event.op_type);
    entry["kernel"] = event.kernel;
    entry["provider"] = event.provider;
    entry["node_index"] = event.node_index;
    py::list inside;
    if (event.inside)
      for (const ProfileBody& body : *event.inside)
        inside.append(py::make_tuple(text(body.node), body.attribute, body.node_index));
    entry["inside"] = std::move(inside);
    entry["begin_ns"] = event.begin_ns;
    entry["duration_ns"] = event.duration_ns;
    entry["thread"] = event.thread;
    entry["inputs"] = describe_types(event.inputs);
    entry["outputs"] = describe_types(event.outputs);
    entry["parameter_bytes"] = event.parameter_bytes;
    list.append(std::move(entry));
  }
  return list;
}

// (domain, operator, name) of each node of the rewritten model.
py::list nodes(const PySession& self) {
  py::list list;
  const auto session = self.session();
  for (const Node& node : session->graph().nodes)
    list.append(py::make_tuple(text(node.domain), text(node.op_type), text(node.name)));
  return list;
}

py::dict memory_stats(const PySession& self) {
  const auto session = self.session();
  py::dict stats;
  stats["plan_count"] = session->plan_count();
  stats["plan_bytes"] = session->plan_bytes();
  stats["idle_arena_bytes"] = session->idle_arena_bytes();
  stats["process_packed_weight_bytes"] = SharedPackStore::instance().bytes();
  stats["process_idle_output_bytes"] = BufferPool::instance().idle_bytes();
  const DeviceMemory device = session->device_memory();
  stats["device_held_bytes"] = device.held;
  stats["device_used_bytes"] = device.used;
  stats["device_allocations"] = device.pieces;
  return stats;
}

// `run` is called often enough that pybind11's argument handling would be a good part of a small model's time.
PyObject* fast_run(PyObject* self, PyObject* const* args, Py_ssize_t count) {
  if (count != 2 && count != 3) {
    PyErr_SetString(PyExc_TypeError, "run() takes output_names, input_feed and run_options");
    return nullptr;
  }
  try {
    return py::handle(self).cast<const PySession&>().run(args[0], args[1], count == 3 ? args[2] : Py_None);
  } catch (...) {
    set_python_error();
    return nullptr;
  }
}

PyMethodDef fast_run_method = {"run", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(fast_run)),
                               METH_FASTCALL,
                               "Runs the model on arrays; `output_names` and `run_options` may be None."};

}  // namespace

void bind_session(py::module_& module) {
  py::class_<PySession> type(module, "Session", "The engine's session behind `fastort.InferenceSession`.");
  forbid_construction(type, "use fastort.InferenceSession");
  type.def_static("from_file", &from_file, py::arg("path"), py::arg("options"))
      .def_static("from_bytes", &from_bytes, py::arg("model"), py::arg("options"))
      .def("run_values", &PySession::run_values, py::arg("output_names"), py::arg("input_feed"), py::arg("bound"),
           py::arg("run_options"))
      .def("inputs", [](const PySession& self) { return describe_args(self.session()->inputs()); })
      .def("outputs", [](const PySession& self) { return describe_args(self.session()->outputs()); })
      .def("overridable", [](const PySession& self) { return describe_args(self.session()->overridable()); })
      .def("model_meta", &model_meta)
      .def("explain", [](const PySession& self) { return text(self.session()->explain()); })
      .def("print_graph", [](const PySession& self) { return text(self.session()->print_graph()); })
      .def("passes",
           [](const PySession& self) {
             const std::shared_ptr<Session> session = self.session();
             py::list list;
             for (const PassReport& report : session->passes())
               list.append(py::make_tuple(report.name, report.changes, report.milliseconds));
             return list;
           })
      .def("trim", [](const PySession& self) { return self.session()->trim(); })
      .def("memory_stats", &memory_stats)
      .def("nodes", &nodes)
      .def("has_value",
           [](const PySession& self, const std::string& name) { return self.session()->find_output(name) >= 0; })
      .def("start_profiling", [](const PySession& self) { self.session()->start_profiling(); })
      .def("clear_profile", [](const PySession& self) { self.session()->clear_profile(); })
      .def("is_profiling", [](const PySession& self) { return self.session()->is_profiling(); })
      .def("profiling_start_time_ns", [](const PySession& self) { return self.session()->profiling_start_time_ns(); })
      .def("stop_profiling", &stop_profiling)
      .def("close", [](PySession& self) { self.close(); });
  PyObject* run = PyDescr_NewMethod(reinterpret_cast<PyTypeObject*>(type.ptr()), &fast_run_method);
  if (!run) throw py::error_already_set();
  type.attr("run") = py::reinterpret_steal<py::object>(run);
}

}  // namespace fastort::bindings
