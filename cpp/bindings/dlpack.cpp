#include "bindings/dlpack.h"

#include <cstdint>
#include <memory>
#include <string>
#include <type_traits>
#include <vector>

#include "bindings/errors.h"

namespace py = pybind11;

namespace fastort::bindings {
namespace {

// DLPack's structs, in the form that every library exchanges and in that of version 1.
struct DlDevice {
  int32_t type;
  int32_t id;
};
struct DlType {
  uint8_t code;
  uint8_t bits;
  uint16_t lanes;
};
struct DlTensor {
  void* data;
  DlDevice device;
  int32_t rank;
  DlType type;
  int64_t* shape;
  int64_t* strides;  // in elements; nullptr: C order
  uint64_t offset;
};
struct DlManagedTensor {
  DlTensor tensor;
  void* context;
  void (*deleter)(DlManagedTensor*);
};

struct DlVersion {
  uint32_t major;
  uint32_t minor;
};
struct DlManagedTensorVersioned {
  DlVersion version;
  void* context;
  void (*deleter)(DlManagedTensorVersioned*);
  uint64_t flags;
  DlTensor tensor;
};

constexpr int32_t kCpu = 1;
template <class Managed>
constexpr const char* kName = "dltensor";
template <>
constexpr const char* kName<DlManagedTensorVersioned> = "dltensor_versioned";
template <class Managed>
constexpr const char* kUsedName = "used_dltensor";
template <>
constexpr const char* kUsedName<DlManagedTensorVersioned> = "used_dltensor_versioned";

struct TypeCode {
  DataType type;
  uint8_t code;
  uint8_t bits;
};

constexpr TypeCode kTypes[] = {
    {DataType::Int8, 0, 8},       {DataType::Int16, 0, 16},       {DataType::Int32, 0, 32},
    {DataType::Int64, 0, 64},     {DataType::UInt8, 1, 8},        {DataType::UInt16, 1, 16},
    {DataType::UInt32, 1, 32},    {DataType::UInt64, 1, 64},      {DataType::Float16, 2, 16},
    {DataType::Float, 2, 32},     {DataType::Double, 2, 64},      {DataType::BFloat16, 4, 16},
    {DataType::Complex64, 5, 64}, {DataType::Complex128, 5, 128}, {DataType::Bool, 6, 8},
};

// What a capsule owns: the struct, its sizes and the memory.
template <class Managed>
struct Exported {
  Managed managed{};
  std::vector<int64_t> shape;
  std::shared_ptr<Buffer> buffer;
};

template <class Managed>
void delete_exported(Managed* managed) {
  delete static_cast<Exported<Managed>*>(managed->context);
}

template <class Managed>
void delete_capsule(PyObject* capsule) {
  // A consumer that took the tensor has renamed the capsule.
  if (!PyCapsule_IsValid(capsule, kName<Managed>)) return;
  auto* managed = static_cast<Managed*>(PyCapsule_GetPointer(capsule, kName<Managed>));
  managed->deleter(managed);
}

template <class Managed>
py::object export_tensor(const Tensor& tensor, TypeCode type) {
  auto exported = std::make_unique<Exported<Managed>>();
  exported->shape.assign(tensor.shape().begin(), tensor.shape().end());
  exported->buffer = tensor.buffer();
  if constexpr (std::is_same_v<Managed, DlManagedTensorVersioned>) exported->managed.version = {1, 0};
  DlTensor& out = exported->managed.tensor;
  out.data = tensor.raw();
  out.device = {kCpu, 0};
  out.rank = tensor.shape().rank();
  out.type = {type.code, type.bits, 1};
  out.shape = exported->shape.data();
  exported->managed.context = exported.get();
  exported->managed.deleter = delete_exported<Managed>;
  PyObject* capsule = PyCapsule_New(&exported->managed, kName<Managed>, delete_capsule<Managed>);
  if (!capsule) throw py::error_already_set();
  exported.release();
  return py::reinterpret_steal<py::object>(capsule);
}

bool is_contiguous(const DlTensor& tensor) {
  if (!tensor.strides) return true;
  int64_t expected = 1;
  for (int32_t i = tensor.rank; i-- > 0;) {
    if (tensor.shape[i] == 0) return true;
    if (tensor.shape[i] != 1 && tensor.strides[i] != expected) return false;
    expected *= tensor.shape[i];
  }
  return true;
}

DataType element_type(const DlType& type, bool is_bool) {
  if (is_bool && type.code == 1 && type.bits == 8) return DataType::Bool;
  for (const TypeCode& entry : kTypes)
    if (entry.code == type.code && entry.bits == type.bits && type.lanes == 1) return entry.type;
  raise(PyExc_BufferError, "DLPack: fastort has no element type of code " + std::to_string(type.code) + " and " +
                               std::to_string(type.bits) + " bits");
}

template <class Managed>
Tensor import_tensor(const py::object& capsule, bool is_bool) {
  auto* managed = static_cast<Managed*>(PyCapsule_GetPointer(capsule.ptr(), kName<Managed>));
  const DlTensor& in = managed->tensor;
  if (in.device.type != kCpu)
    raise(PyExc_BufferError, "DLPack: the tensor lies on a device of type " + std::to_string(in.device.type) +
                                 "; copy it to the CPU first");
  if (!is_contiguous(in)) raise(PyExc_BufferError, "DLPack: the tensor's memory is not in C order; make it contiguous");
  const DataType type = element_type(in.type, is_bool);
  Shape shape;
  for (int32_t i = 0; i < in.rank; ++i) {
    if (in.shape[i] < 0) raise(PyExc_BufferError, "DLPack: a dimension is negative");
    shape.push_back(in.shape[i]);
  }
  const auto count = checked_count(shape);
  if (!count) raise(PyExc_BufferError, "DLPack: the shape " + to_string(shape) + " is too large");
  auto* data = static_cast<std::byte*>(in.data) + in.offset;
  auto buffer = Buffer::wrap(data, static_cast<size_t>(*count) * element_size(type), [managed] {
    // The producer's deleter may touch Python's objects.
    if (!managed->deleter || !Py_IsInitialized()) return;
    const py::gil_scoped_acquire acquired;
    managed->deleter(managed);
  });
  if (PyCapsule_SetName(capsule.ptr(), kUsedName<Managed>) != 0) throw py::error_already_set();
  return Tensor(type, std::move(shape), std::move(buffer));
}

}  // namespace

py::object tensor_to_dlpack(const Tensor& tensor, bool versioned) {
  for (const TypeCode& entry : kTypes) {
    if (entry.type != tensor.type()) continue;
    return versioned ? export_tensor<DlManagedTensorVersioned>(tensor, entry)
                     : export_tensor<DlManagedTensor>(tensor, entry);
  }
  raise(PyExc_BufferError, "DLPack has no form for tensor(" + std::string(name(tensor.type())) + ")");
}

Tensor tensor_from_dlpack(const py::object& capsule, bool is_bool) {
  if (PyCapsule_IsValid(capsule.ptr(), kName<DlManagedTensorVersioned>))
    return import_tensor<DlManagedTensorVersioned>(capsule, is_bool);
  if (PyCapsule_IsValid(capsule.ptr(), kName<DlManagedTensor>)) return import_tensor<DlManagedTensor>(capsule, is_bool);
  raise(PyExc_TypeError,
        "from_dlpack expected a valid DLPack capsule named 'dltensor', which nobody has used yet, not " +
            std::string(Py_TYPE(capsule.ptr())->tp_name));
}

}  // namespace fastort::bindings
