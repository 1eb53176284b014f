#include "bindings/custom_ops.h"

#include <pybind11/stl.h>

#include <string>
#include <vector>

#include "base/error.h"
#include "bindings/construction.h"
#include "bindings/convert.h"
#include "bindings/dtypes.h"
#include "bindings/errors.h"
#include "runtime/custom_library.h"

namespace py = pybind11;

namespace fastort::bindings {
namespace {

// What is known of an output before the function is called.
struct OutputSpec {
  DataType type = DataType::Undefined;  // Undefined: that of input `like`
  int like = -1;                        // the input whose shape it has; -1: not known
};

py::object to_object(PyObject* reference) {
  if (!reference) throw py::error_already_set();
  return py::reinterpret_steal<py::object>(reference);
}

py::object attribute_to_python(const Node& node, const std::string& name, const Attribute& value) {
  if (const auto* number = std::get_if<int64_t>(&value)) return py::int_(*number);
  if (const auto* number = std::get_if<float>(&value)) return py::float_(static_cast<double>(*number));
  if (const auto* text = std::get_if<std::string>(&value)) return to_object(text_to_python(*text));
  if (const auto* tensor = std::get_if<Tensor>(&value)) return to_object(tensor_to_array(tensor->clone()));
  if (const auto* numbers = std::get_if<std::vector<int64_t>>(&value)) return py::cast(*numbers);
  if (const auto* numbers = std::get_if<std::vector<float>>(&value)) return py::cast(*numbers);
  if (const auto* texts = std::get_if<std::vector<std::string>>(&value)) {
    py::list list;
    for (const std::string& text : *texts) list.append(to_object(text_to_python(text)));
    return list;
  }
  not_implemented(describe(node) + ": its attribute '" + name + "' is of a kind that Python functions do not take");
}

// A Python function as an operator. It is called with the inputs as arrays and the attributes as keywords.
class PythonOp final : public CustomOp {
 public:
  PythonOp(std::string domain, std::string name, const py::object& function, std::vector<OutputSpec> outputs)
      : CustomOp(std::move(domain), std::move(name)),
        function_(function.inc_ref().ptr()),
        outputs_(std::move(outputs)) {}
  ~PythonOp() override { release_object(function_); }

  void infer(InferContext& context) const override {
    if (static_cast<size_t>(context.num_outputs()) > outputs_.size())
      context.fail("the function was registered with " + std::to_string(outputs_.size()) + " outputs");
    for (int i = 0; i < context.num_outputs(); ++i) {
      const OutputSpec& spec = outputs_[static_cast<size_t>(i)];
      const int like = std::max(spec.like, 0);
      const bool follows = spec.like >= 0 || spec.type == DataType::Undefined;
      if (follows && !context.has_input(like))
        context.fail("output " + std::to_string(i) + " is like input " + std::to_string(like) + ", which is left out");
      const DataType type = spec.type == DataType::Undefined ? context.type(like) : spec.type;
      if (spec.like >= 0 && context.has_shape(like))
        context.out(i, type, context.shape(like));
      else
        context.out(i, type);
    }
  }

  void compute(const Node& node, Frame& frame, const Parallel&) const override {
    if (!Py_IsInitialized()) fail(ErrorCode::Fail, "Python has ended");
    const py::gil_scoped_acquire acquired;
    try {
      store(node, frame, call(node, frame));
    } catch (py::error_already_set& error) {
      // Ctrl-C is the program's, not the operator's.
      if (error.matches(PyExc_KeyboardInterrupt)) {
        PyErr_SetInterrupt();
        fail(ErrorCode::Cancelled, "Ctrl-C");
      }
      fail(ErrorCode::Fail, "the Python function raised " + std::string(error.what()));
    }
  }

 private:
  py::object call(const Node& node, Frame& frame) const {
    py::tuple arguments(static_cast<size_t>(node.num_inputs()));
    for (int i = 0; i < node.num_inputs(); ++i) {
      Value value = frame.input(i);
      // The function may keep the array, and the arena is used again.
      if (value.is_tensor() && value.tensor().buffer() && value.tensor().buffer()->borrowed())
        value = value.tensor().clone();
      arguments[static_cast<size_t>(i)] = to_object(value_to_python(value));
    }
    py::dict keywords;
    for (const auto& [name, value] : node.attributes) keywords[py::str(name)] = attribute_to_python(node, name, value);
    return to_object(PyObject_Call(function_, arguments.ptr(), keywords.ptr()));
  }

  void store(const Node& node, Frame& frame, const py::object& result) const {
    const bool several = py::isinstance<py::tuple>(result) || py::isinstance<py::list>(result);
    const py::sequence results = several ? py::sequence(result) : py::sequence(py::make_tuple(result));
    if (results.size() < node.outputs.size())
      fail(ErrorCode::Fail, "the Python function returned " + std::to_string(results.size()) +
                                " values, the node has " + std::to_string(node.outputs.size()) + " outputs");
    for (size_t i = 0; i < node.outputs.size(); ++i) {
      if (!node.has_output(static_cast<int>(i))) continue;
      frame.set_output(static_cast<int>(i), checked(frame, i, py::object(results[i])));
    }
  }

  Value checked(Frame& frame, size_t i, const py::object& value) const {
    const OutputSpec& spec = outputs_[i];
    const std::string label = "output " + std::to_string(i) + " of the Python function";
    const bool follows = spec.like >= 0 || spec.type == DataType::Undefined;
    const Value model = follows ? frame.input(std::max(spec.like, 0)) : Value();
    if (follows && !model.is_tensor()) fail(ErrorCode::Fail, label + " is to be like an input that is no tensor");
    const DataType type = spec.type == DataType::Undefined ? model.tensor().type() : spec.type;
    const py::object array = as_array(value);
    Tensor tensor = tensor_from_array(reinterpret_cast<PyArrayObject*>(array.ptr()), label);
    if (tensor.type() != type)
      fail(ErrorCode::Fail, label + " is " + describe(tensor) + ", and was registered as tensor(" +
                                std::string(name_of(type)) + "); convert it with `.astype`");
    if (spec.like >= 0 && tensor.shape() != model.tensor().shape())
      fail(ErrorCode::Fail, label + " is " + describe(tensor) + ", and was registered with the shape of input " +
                                std::to_string(spec.like) + ", " + to_string(model.tensor().shape()));
    // The array stays the function's, who may write into it later.
    return tensor.type() == DataType::String ? tensor : tensor.clone();
  }

  static std::string_view name_of(DataType type) { return fastort::name(type); }

  static py::object as_array(const py::object& value) {
    return to_object(PyArray_FROM_OF(value.ptr(), NPY_ARRAY_C_CONTIGUOUS | NPY_ARRAY_ALIGNED));
  }

  PyObject* function_;
  std::vector<OutputSpec> outputs_;
};

// `outputs`: pairs of an element type (None: that of the input) and the number of the input whose shape it has (-1).
CustomOpHandle python_op(const std::string& domain, const std::string& name, const py::object& function,
                         const std::vector<std::pair<py::object, int>>& outputs) {
  std::vector<OutputSpec> specs;
  for (const auto& [type, like] : outputs)
    specs.push_back({type.is_none() ? DataType::Undefined : data_type_from_python(type), like});
  auto op = std::make_shared<PythonOp>(domain, name, function, std::move(specs));
  check_custom_op(*op);
  return {std::move(op)};
}

std::vector<CustomOpHandle> load_library(const std::string& path) {
  std::vector<CustomOpHandle> handles;
  for (CustomOpPtr& op : load_custom_library(path)) handles.push_back({std::move(op)});
  return handles;
}

}  // namespace

void bind_custom_ops(py::module_& module) {
  py::class_<CustomOpHandle> type(module, "CustomOp", "An operator that a program brings along.");
  forbid_construction(type, "use fastort.register_operator");
  type.def_property_readonly("domain", [](const CustomOpHandle& self) { return self.op->domain(); })
      .def_property_readonly("name", [](const CustomOpHandle& self) { return self.op->name(); });
  module.def("python_op", &python_op, py::arg("domain"), py::arg("name"), py::arg("function"), py::arg("outputs"));
  module.def("load_custom_library", &load_library, py::arg("path"), py::call_guard<py::gil_scoped_release>());
  module.def(
      "register_custom_op", [](const CustomOpHandle& handle) { register_custom_op(handle.op); }, py::arg("op"),
      py::call_guard<py::gil_scoped_release>());
}

}  // namespace fastort::bindings
