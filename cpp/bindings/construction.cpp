#include "bindings/construction.h"

#include "bindings/errors.h"

namespace py = pybind11;

namespace fastort::bindings {
namespace {

std::string name_of(py::handle type) {
  return type.attr("__module__").cast<std::string>() + "." + type.attr("__qualname__").cast<std::string>();
}

void set_new(const py::object& type, const py::cpp_function& function) {
  const auto staticmethod = py::module_::import("builtins").attr("staticmethod");
  type.attr("__new__") = staticmethod(function);
}

}  // namespace

void forbid_construction(const py::object& type, const std::string& remedy) {
  set_new(type, py::cpp_function([remedy](const py::object& cls, const py::args&, const py::kwargs&) -> py::object {
            raise(PyExc_TypeError, "cannot create '" + name_of(cls) + "' instances: " + remedy);
          }));
  forbid_pickling(type);
}

void construct_at_once(const py::object& type) {
  const py::handle base = type;  // lives as long as its own method
  set_new(type, py::cpp_function([base](const py::object& cls, const py::args&, const py::kwargs&) {
            if (!PyType_Check(cls.ptr()) || !PyType_IsSubtype(reinterpret_cast<PyTypeObject*>(cls.ptr()),
                                                              reinterpret_cast<PyTypeObject*>(base.ptr())))
              raise(PyExc_TypeError, "__new__ takes a subclass of " + name_of(base));
            auto made = py::reinterpret_steal<py::object>(
                py::detail::make_new_instance(reinterpret_cast<PyTypeObject*>(cls.ptr())));
            base.attr("__init__")(made);
            return made;
          }));
}

void forbid_pickling(const py::object& type) {
  const auto refuse = [](const py::object& self, const py::args&) -> py::object {
    raise(PyExc_TypeError, "cannot pickle '" + name_of(py::type::of(self)) + "' object");
  };
  type.attr("__reduce__") = py::cpp_function(refuse, py::name("__reduce__"), py::is_method(type));
}

}  // namespace fastort::bindings
