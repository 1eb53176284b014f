#pragma once

#include <map>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "tensor/tensor.h"

namespace fastort {

class Value;
struct ValueType;

// The ONNX sequence. Immutable once shared: operators make a new one.
struct Sequence {
  DataType element = DataType::Undefined;  // element type where the items are tensors
  std::vector<Value> items;
};

// The ONNX map: keys are int64 or string, values are one tensor each (usually of rank 0).
struct Map {
  DataType key = DataType::Undefined;
  DataType value = DataType::Undefined;
  std::map<int64_t, Tensor> by_int;
  std::map<std::string, Tensor> by_string;
};

// A sparse tensor in ONNX's own COO form: values [NNZ] and indices [NNZ] (linear) or [NNZ, rank].
struct SparseTensor {
  Shape shape;
  Tensor values;
  Tensor indices;
};

// Anything that an ONNX graph can pass along an edge. An empty one is the optional without a value.
class Value {
 public:
  Value() = default;
  Value(Tensor tensor) : held_(std::move(tensor)) {}                               // NOLINT: implicit by design
  Value(std::shared_ptr<const Sequence> sequence) : held_(std::move(sequence)) {}  // NOLINT
  Value(std::shared_ptr<const Map> map) : held_(std::move(map)) {}                 // NOLINT
  Value(std::shared_ptr<const SparseTensor> sparse) : held_(std::move(sparse)) {}  // NOLINT

  bool empty() const noexcept { return std::holds_alternative<std::monostate>(held_); }
  bool is_tensor() const noexcept { return std::holds_alternative<Tensor>(held_); }
  bool is_sequence() const noexcept { return std::holds_alternative<std::shared_ptr<const Sequence>>(held_); }
  bool is_map() const noexcept { return std::holds_alternative<std::shared_ptr<const Map>>(held_); }
  bool is_sparse() const noexcept { return std::holds_alternative<std::shared_ptr<const SparseTensor>>(held_); }
  const Tensor& tensor() const { return std::get<Tensor>(held_); }
  const Sequence& sequence() const { return *std::get<std::shared_ptr<const Sequence>>(held_); }
  const Map& map() const { return *std::get<std::shared_ptr<const Map>>(held_); }
  const SparseTensor& sparse() const { return *std::get<std::shared_ptr<const SparseTensor>>(held_); }

 private:
  std::variant<std::monostate, Tensor, std::shared_ptr<const Sequence>, std::shared_ptr<const Map>,
               std::shared_ptr<const SparseTensor>>
      held_;
};

// What kind of value an edge carries.
enum class ValueKind : uint8_t { Unknown, Tensor, Sequence, Map, Optional, SparseTensor };

// The ONNX type of an edge. Tensors have an element type and, where the rank is known, a shape with symbols.
struct ValueType {
  ValueKind kind = ValueKind::Unknown;
  DataType element = DataType::Undefined;  // tensors and sparse tensors; for maps the key
  bool has_shape = false;
  Shape shape;
  std::shared_ptr<const ValueType> inner;  // sequences, optionals: the element; maps: the value

  static ValueType tensor(DataType element) { return {ValueKind::Tensor, element, false, {}, nullptr}; }
  static ValueType tensor(DataType element, Shape shape) {
    return {ValueKind::Tensor, element, true, std::move(shape), nullptr};
  }
  static ValueType sequence(ValueType item) {
    return {ValueKind::Sequence, DataType::Undefined, false, {}, std::make_shared<const ValueType>(std::move(item))};
  }
  static ValueType optional(ValueType item) {
    return {ValueKind::Optional, DataType::Undefined, false, {}, std::make_shared<const ValueType>(std::move(item))};
  }
  bool is_tensor() const noexcept { return kind == ValueKind::Tensor; }
  bool is_concrete() const noexcept { return is_tensor() && has_shape && shape.is_concrete(); }
};

// "tensor(float)", "seq(tensor(int64))": ONNX Runtime's spelling of `NodeArg.type`.
std::string type_string(const ValueType& type);

}  // namespace fastort
