// Operators of ai.onnx.ml.
#include <numeric>
#include <string>
#include <vector>

#include "onnx/lift.h"

namespace fastort {
namespace {

// Opset 1 mapped between strings and their indices, in the direction that the input's type gives.
void label_encoder_2(Lift& lift) {
  const std::vector<std::string> classes = lift.attributes().get_strings("classes_strings");
  std::vector<int64_t> indices(classes.size());
  std::iota(indices.begin(), indices.end(), int64_t{0});
  lift.attributes().erase("classes_strings");
  switch (lift.element(lift.input(0))) {
    case DataType::String:
      lift.attributes().set("keys_strings", classes);
      lift.attributes().set("values_int64s", indices);
      break;
    case DataType::Int64:
      lift.attributes().set("keys_int64s", indices);
      lift.attributes().set("values_strings", classes);
      break;
    default:
      lift.unsupported("the type of its input is not known");
  }
}

constexpr LiftRow kRows[] = {
    {"ai.onnx.ml", "LabelEncoder", 2, label_encoder_2},
};

}  // namespace

std::span<const LiftRow> ml_lifts() { return kRows; }

}  // namespace fastort
