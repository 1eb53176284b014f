#include "bindings/construction.h"

#include <algorithm>
#include <vector>

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

// What pybind11 makes objects of any of its classes with; set once, while the module is imported.
newfunc make_any = nullptr;

std::vector<PyTypeObject*>& sealed_types() {
  static auto* types = new std::vector<PyTypeObject*>;  // objects are made until the process ends
  return *types;
}

// pybind11's common base, by which copyreg and curious programs make objects whose own class would refuse.
PyObject* make_other(PyTypeObject* type, PyObject* args, PyObject* kwargs) {
  const std::vector<PyTypeObject*>& sealed = sealed_types();
  const bool ours = std::any_of(sealed.begin(), sealed.end(),
                                [type](PyTypeObject* known) { return PyType_IsSubtype(type, known) != 0; });
  try {
    if (!ours && !py::detail::all_type_info(type).empty()) return make_any(type, args, kwargs);
    PyErr_Format(PyExc_TypeError, "cannot create '%s' instances: %s", type->tp_name,
                 ours ? "pybind11's own __new__ leaves them without contents" : "the class has no contents of its own");
  } catch (...) {
    set_python_error();
  }
  return nullptr;
}

void replace_new(PyTypeObject* type) {
  if (type->tp_new != make_any) return;
  type->tp_new = &make_other;
  PyType_Modified(type);
  // Python compares a class's function with its bases'.
  const py::object below =
      py::reinterpret_borrow<py::object>(reinterpret_cast<PyObject*>(type)).attr("__subclasses__")();
  for (const py::handle derived : below) replace_new(reinterpret_cast<PyTypeObject*>(derived.ptr()));
}

void seal(const py::object& object) {
  auto* type = reinterpret_cast<PyTypeObject*>(object.ptr());
  auto* base = reinterpret_cast<PyTypeObject*>(py::detail::get_internals().instance_base);
  std::vector<PyTypeObject*>& sealed = sealed_types();
  sealed.push_back(type);
  // An object's class can be exchanged for one of the same size.
  type->tp_basicsize += static_cast<Py_ssize_t>(sealed.size() * sizeof(void*));
  if (!make_any) {
    make_any = base->tp_new;
    replace_new(base);
  }
}

}  // namespace

void forbid_construction(const py::object& type, const std::string& remedy) {
  set_new(type, py::cpp_function([remedy](const py::object& cls, const py::args&, const py::kwargs&) -> py::object {
            raise(PyExc_TypeError, "cannot create '" + name_of(cls) + "' instances: " + remedy);
          }));
  forbid_pickling(type);
  seal(type);
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
  seal(type);
}

void forbid_pickling(const py::object& type) {
  const auto refuse = [](const py::object& self, const py::args&) -> py::object {
    raise(PyExc_TypeError, "cannot pickle '" + name_of(py::type::of(self)) + "' object");
  };
  type.attr("__reduce__") = py::cpp_function(refuse, py::name("__reduce__"), py::is_method(type));
}

}  // namespace fastort::bindings
