#include "onnx/tensor_reader.h"

#include <algorithm>
#include <bit>
#include <charconv>
#include <complex>
#include <cstring>
#include <optional>

#include "base/error.h"
#include "onnx/mapped_file.h"
#include "tensor/deferred.h"

namespace fastort {
namespace {

static_assert(std::endian::native == std::endian::little, "raw_data is little-endian");

// Sizes in bytes of up to this many elements fit 63 bits, whatever the type.
constexpr int64_t kMaxElements = int64_t{1} << 56;
constexpr int64_t kMaxSparseStrings = int64_t{1} << 24;
// Smaller tensors that cannot be read where they lie are copied at once.
constexpr size_t kDeferredBytes = 4096;

[[noreturn]] void refuse(const std::string& tensor, const std::string& why) {
  fail(ErrorCode::Fail, "Initializer '" + tensor + "' is invalid: " + why);
}

[[noreturn]] void wrong_size(const std::string& tensor, DataType type, const Shape& shape, const std::string& needs,
                             const std::string& present) {
  refuse(tensor, "a " + std::string(name(type)) + to_string(shape) + " needs " + needs + ", but " + present);
}

Shape read_shape(const google::protobuf::RepeatedField<int64_t>& dims, const std::string& tensor) {
  Shape shape;
  for (const int64_t dim : dims) {
    if (dim < 0) refuse(tensor, "dimension " + std::to_string(dim) + " is negative");
    shape.push_back(dim);
  }
  const std::optional<int64_t> count = checked_count(shape);
  if (!count || *count > kMaxElements) refuse(tensor, "its shape " + to_string(shape) + " has too many elements");
  return shape;
}

// A stream of items narrower than a byte, the first in the lowest bits, as one byte each.
void unpack(std::span<const std::byte> packed, DataType type, std::span<std::byte> items) {
  const auto bits = static_cast<size_t>(packed_bits(type));
  const unsigned mask = (1u << bits) - 1u;
  const bool is_signed = type == DataType::Int4 || type == DataType::Int2;
  for (size_t i = 0; i < items.size(); ++i) {
    const size_t byte = i * bits / 8, shift = i * bits % 8;
    unsigned item = static_cast<unsigned>(packed[byte]) >> shift;
    if (shift + bits > 8) item |= static_cast<unsigned>(packed[byte + 1]) << (8 - shift);
    item &= mask;
    if (is_signed && (item >> (bits - 1)) != 0) item |= ~mask;
    items[i] = static_cast<std::byte>(item);
  }
}

// Bytes that a tensor takes in a file.
size_t stored_bytes(DataType type, int64_t count) {
  const auto bits = static_cast<size_t>(packed_bits(type));
  const auto items = static_cast<size_t>(count);
  return bits >= 8 ? items * (bits / 8) : (items * bits + 7) / 8;
}

size_t alignment_of(DataType type) {
  if (type == DataType::Complex64) return alignof(float);
  if (type == DataType::Complex128) return alignof(double);
  return element_size(type);
}

// `raw` holds exactly the tensor's bytes.
Tensor from_raw(DataType type, const Shape& shape, const RawData& raw) {
  const bool packed = packed_bits(type) < 8;
  const bool as_stored = !packed && type != DataType::Bool;  // a bool may be stored as any nonzero byte
  const auto address = reinterpret_cast<uintptr_t>(raw.bytes.data());
  if (raw.keep_alive && as_stored && !raw.bytes.empty() && address % alignment_of(type) == 0) {
    const auto base = reinterpret_cast<uintptr_t>(raw.keep_alive->data());
    return Tensor(type, shape, raw.keep_alive, address - base);
  }
  if (raw.keep_alive && as_stored && raw.bytes.size() >= kDeferredBytes)
    return Tensor(type, shape, DeferredBuffer::copy_of(raw.bytes, raw.keep_alive));
  Tensor tensor(type, shape);
  if (packed)
    unpack(raw.bytes, type, {tensor.raw(), tensor.bytes()});
  else if (!raw.bytes.empty())
    std::memcpy(tensor.raw(), raw.bytes.data(), raw.bytes.size());
  if (type == DataType::Bool) {
    for (std::byte& item : std::span(tensor.raw(), tensor.bytes())) item = item == std::byte{0} ? item : std::byte{1};
  }
  if (raw.keep_alive) raw.keep_alive->forget(raw.bytes.data(), raw.bytes.size());
  return tensor;
}

template <class Stored, class Field>
Tensor from_field(const std::string& tensor_name, DataType type, const Shape& shape, const Field& field,
                  size_t per_element, const char* field_name) {
  const size_t needed = static_cast<size_t>(shape.count()) * per_element;
  if (static_cast<size_t>(field.size()) != needed) {
    wrong_size(tensor_name, type, shape, std::to_string(needed) + " items",
               std::string(field_name) + " holds " + std::to_string(field.size()));
  }
  Tensor tensor(type, shape);
  Stored* out = tensor.data<Stored>();
  for (const auto item : field) {
    if constexpr (std::is_same_v<Stored, bool>)
      *out++ = item != 0;
    else
      *out++ = static_cast<Stored>(item);
  }
  return tensor;
}

Tensor packed_from_int32(const onnx::TensorProto& proto, DataType type, const Shape& shape) {
  const size_t needed = stored_bytes(type, shape.count());
  if (static_cast<size_t>(proto.int32_data_size()) != needed) {
    wrong_size(proto.name(), type, shape, std::to_string(needed) + " packed items",
               "int32_data holds " + std::to_string(proto.int32_data_size()));
  }
  std::vector<std::byte> bytes;
  bytes.reserve(needed);
  for (const int32_t item : proto.int32_data()) bytes.push_back(static_cast<std::byte>(item & 0xff));
  return from_raw(type, shape, {bytes, nullptr});
}

// Unlike the narrower kinds these stand one to an item.
Tensor six_bits_from_int32(const onnx::TensorProto& proto, DataType type, const Shape& shape) {
  Tensor tensor = from_field<uint8_t>(proto.name(), type, shape, proto.int32_data(), 1, "int32_data");
  for (std::byte& item : std::span(tensor.raw(), tensor.bytes())) item &= std::byte{0x3f};
  return tensor;
}

Tensor from_strings(const onnx::TensorProto& proto, const Shape& shape) {
  if (proto.string_data_size() != shape.count()) {
    wrong_size(proto.name(), DataType::String, shape, std::to_string(shape.count()) + " items",
               "string_data holds " + std::to_string(proto.string_data_size()));
  }
  Tensor tensor(DataType::String, shape);
  std::copy(proto.string_data().begin(), proto.string_data().end(), tensor.data<std::string>());
  return tensor;
}

Tensor from_typed_field(const onnx::TensorProto& proto, DataType type, const Shape& shape) {
  const std::string& name = proto.name();
  switch (type) {
    case DataType::Float:
      return from_field<float>(name, type, shape, proto.float_data(), 1, "float_data");
    case DataType::Complex64:
      return from_field<float>(name, type, shape, proto.float_data(), 2, "float_data");
    case DataType::Double:
      return from_field<double>(name, type, shape, proto.double_data(), 1, "double_data");
    case DataType::Complex128:
      return from_field<double>(name, type, shape, proto.double_data(), 2, "double_data");
    case DataType::Int64:
      return from_field<int64_t>(name, type, shape, proto.int64_data(), 1, "int64_data");
    case DataType::UInt64:
      return from_field<uint64_t>(name, type, shape, proto.uint64_data(), 1, "uint64_data");
    case DataType::UInt32:
      return from_field<uint32_t>(name, type, shape, proto.uint64_data(), 1, "uint64_data");
    case DataType::Int32:
      return from_field<int32_t>(name, type, shape, proto.int32_data(), 1, "int32_data");
    case DataType::Bool:
      return from_field<bool>(name, type, shape, proto.int32_data(), 1, "int32_data");
    case DataType::UInt16:
    case DataType::Int16:
    case DataType::Float16:
    case DataType::BFloat16:
      return from_field<uint16_t>(name, type, shape, proto.int32_data(), 1, "int32_data");
    case DataType::UInt8:
    case DataType::Int8:
    case DataType::Float8E4M3FN:
    case DataType::Float8E4M3FNUZ:
    case DataType::Float8E5M2:
    case DataType::Float8E5M2FNUZ:
    case DataType::Float8E8M0:
      return from_field<uint8_t>(name, type, shape, proto.int32_data(), 1, "int32_data");
    case DataType::UInt4:
    case DataType::Int4:
    case DataType::Float4E2M1:
    case DataType::UInt2:
    case DataType::Int2:
      return packed_from_int32(proto, type, shape);
    case DataType::Float6E2M3:
    case DataType::Float6E3M2:
      return six_bits_from_int32(proto, type, shape);
    case DataType::String:
      return from_strings(proto, shape);
    case DataType::Undefined:
      break;
  }
  refuse(name, "it has no element type");
}

struct ExternalRange {
  std::string location;
  uint64_t offset = 0;
  std::optional<uint64_t> length;
};

ExternalRange external_range(const onnx::TensorProto& proto) {
  ExternalRange range;
  const auto number = [&](const onnx::StringStringEntryProto& entry) {
    uint64_t value = 0;
    const std::string& text = entry.value();
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size())
      refuse(proto.name(), "external data has '" + text + "' for its " + entry.key());
    return value;
  };
  for (const auto& entry : proto.external_data()) {
    if (entry.key() == "location")
      range.location = entry.value();
    else if (entry.key() == "offset")
      range.offset = number(entry);
    else if (entry.key() == "length")
      range.length = number(entry);
  }
  return range;
}

RawData external_data(const onnx::TensorProto& proto, DataType type, const Shape& shape, ExternalFiles& files) {
  if (type == DataType::String) refuse(proto.name(), "strings cannot be external data");
  const ExternalRange range = external_range(proto);
  const size_t needed = stored_bytes(type, shape.count());
  if (range.length && *range.length != needed) {
    wrong_size(proto.name(), type, shape, std::to_string(needed) + " bytes",
               "its external data in '" + range.location + "' has length " + std::to_string(*range.length));
  }
  const std::shared_ptr<Buffer> file = files.open(range.location, proto.name());
  if (range.offset > file->bytes() || needed > file->bytes() - range.offset) {
    wrong_size(proto.name(), type, shape,
               std::to_string(needed) + " bytes at offset " + std::to_string(range.offset) + " of external file '" +
                   range.location + "'",
               "the file has only " + std::to_string(file->bytes()) + " bytes");
  }
  return {{file->data() + range.offset, needed}, file};
}

Tensor from_checked_raw(const onnx::TensorProto& proto, DataType type, const Shape& shape, const RawData& raw) {
  if (type == DataType::String) refuse(proto.name(), "strings cannot be stored in raw_data");
  const size_t needed = stored_bytes(type, shape.count());
  if (raw.bytes.size() != needed) {
    wrong_size(proto.name(), type, shape, std::to_string(needed) + " bytes",
               "its raw_data holds " + std::to_string(raw.bytes.size()));
  }
  return from_raw(type, shape, raw);
}

// The places of the nonzero elements as linear indices.
std::vector<int64_t> linear_indices(const onnx::SparseTensorProto& proto, const Shape& shape, int64_t nonzeros,
                                    const Tensor& indices) {
  const std::string& name = proto.values().name();
  const bool linear = indices.shape().rank() == 1;
  if (indices.type() != DataType::Int64 || indices.shape().rank() < 1 || indices.shape().rank() > 2 ||
      indices.shape()[0] != nonzeros || (!linear && indices.shape()[1] != shape.rank()))
    refuse(name, "its sparse indices " + describe(indices) + " do not fit " + std::to_string(nonzeros) + " values");
  const Shape strides = contiguous_strides(shape);
  const std::span<const int64_t> items = indices.span<int64_t>();
  std::vector<int64_t> places(static_cast<size_t>(nonzeros));
  for (size_t i = 0; i < places.size(); ++i) {
    if (linear) {
      places[i] = items[i];
    } else {
      const auto rank = static_cast<size_t>(shape.rank());
      for (size_t axis = 0; axis < rank; ++axis) {
        const int64_t index = items[i * rank + axis];
        if (index < 0 || index >= shape[axis]) refuse(name, "a sparse index is outside its shape " + to_string(shape));
        places[i] += index * strides[axis];
      }
    }
    if (places[i] < 0 || places[i] >= shape.count())
      refuse(name, "a sparse index is outside its shape " + to_string(shape));
  }
  return places;
}

}  // namespace

DataType read_data_type(int data_type, const std::string& owner) {
  if (data_type > 0 && data_type < kDataTypes) return static_cast<DataType>(data_type);
  const std::string kind = onnx::TensorProto_DataType_IsValid(data_type)
                               ? onnx::TensorProto_DataType_Name(static_cast<onnx::TensorProto_DataType>(data_type))
                               : std::to_string(data_type);
  if (data_type >= kDataTypes && onnx::TensorProto_DataType_IsValid(data_type))
    not_implemented("'" + owner + "' has element type " + kind + ", which fastort does not support");
  fail(ErrorCode::Fail, "'" + owner + "' has the invalid element type " + kind);
}

Tensor read_tensor(const onnx::TensorProto& proto, const RawData* payload, ExternalFiles* files) {
  const DataType type = read_data_type(proto.data_type(), proto.name());
  if (proto.has_segment()) not_implemented("Initializer '" + proto.name() + "' is stored in segments");
  const Shape shape = read_shape(proto.dims(), proto.name());
  if (proto.data_location() == onnx::TensorProto_DataLocation_EXTERNAL) {
    if (files == nullptr) refuse(proto.name(), "external data is not possible here");
    return from_raw(type, shape, external_data(proto, type, shape, *files));
  }
  if (payload != nullptr) return from_checked_raw(proto, type, shape, *payload);
  const std::string& raw = proto.raw_data();
  const bool typed = proto.float_data_size() != 0 || proto.int32_data_size() != 0 || proto.string_data_size() != 0 ||
                     proto.int64_data_size() != 0 || proto.double_data_size() != 0 || proto.uint64_data_size() != 0;
  if (proto.has_raw_data() && !(raw.empty() && typed))
    return from_checked_raw(proto, type, shape,
                            {{reinterpret_cast<const std::byte*>(raw.data()), raw.size()}, nullptr});
  return from_typed_field(proto, type, shape);
}

std::shared_ptr<const SparseTensor> read_sparse(const onnx::SparseTensorProto& proto, ExternalFiles* files) {
  auto sparse = std::make_shared<SparseTensor>();
  sparse->shape = read_shape(proto.dims(), proto.values().name());
  sparse->values = read_tensor(proto.values(), nullptr, files);
  sparse->indices = read_tensor(proto.indices(), nullptr, files);
  if (sparse->values.shape().rank() != 1) refuse(proto.values().name(), "its sparse values are not of rank 1");
  (void)linear_indices(proto, sparse->shape, sparse->values.count(), sparse->indices);
  return sparse;
}

Tensor read_dense(const onnx::SparseTensorProto& proto, ExternalFiles* files) {
  const auto sparse = read_sparse(proto, files);
  const Tensor& values = sparse->values;
  const Shape& shape = sparse->shape;
  const std::vector<int64_t> places = linear_indices(proto, shape, values.count(), sparse->indices);
  if (values.type() == DataType::String) {
    if (shape.count() > kMaxSparseStrings) refuse(proto.values().name(), "its shape has too many elements");
    Tensor dense(DataType::String, shape);
    for (size_t i = 0; i < places.size(); ++i) dense.data<std::string>()[places[i]] = values.strings()[i];
    return dense;
  }
  const size_t size = element_size(values.type());
  Tensor dense(values.type(), shape, zero_pages(static_cast<size_t>(shape.count()) * size));
  for (size_t i = 0; i < places.size(); ++i)
    std::memcpy(dense.raw() + static_cast<size_t>(places[i]) * size, values.raw() + i * size, size);
  return dense;
}

}  // namespace fastort
