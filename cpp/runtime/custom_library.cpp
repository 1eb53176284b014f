#include "runtime/custom_library.h"

#include <deque>
#include <exception>
#include <vector>

#if defined(_WIN32)
#include <windows.h>
#else
#include <dlfcn.h>
#endif

#include "base/error.h"
#include "include/fastort/custom_op.h"
#include "ops/core/custom.h"

// What the interface calls a node in flight: it is inferred or computed, never both.
struct FastortCall {
  const fastort::Node& node;
  fastort::InferContext* infer = nullptr;
  fastort::Frame* frame = nullptr;
  const fastort::Parallel* parallel = nullptr;
  std::deque<fastort::Value> held = {};  // inputs that were asked for; they stay where they are
  std::vector<bool> made = {};           // outputs that it has
  std::exception_ptr error = {};         // what the engine threw while the library called it
  std::string message = {};              // what the library says itself
};

struct FastortRegistry {
  std::vector<fastort::CustomOpPtr> ops = {};
  std::string message = {};
};

namespace fastort {
namespace {

constexpr int kFailed = 1;

// Runs what must not throw into the library.
template <class Work>
int guarded(FastortCall& call, Work work) {
  try {
    work();
    return 0;
  } catch (...) {
    if (!call.error) call.error = std::current_exception();
    return kFailed;
  }
}

bool is_element_type(int32_t type) { return type > 0 && type < kDataTypes; }

void fill_input(FastortCall& call, int32_t index, FastortTensor& tensor) {
  tensor = {};
  if (index < 0 || index >= call.node.num_inputs())
    invalid_argument("a custom operator asks for its input " + std::to_string(index) + ", but the node has " +
                     std::to_string(call.node.num_inputs()));
  if (!call.node.has_input(index)) return;
  if (call.infer) {
    const ValueType& type = call.infer->in(index);
    if (!type.is_tensor()) call.infer->fail("a custom operator takes tensors only");
    tensor.type = static_cast<int32_t>(type.element);
    tensor.rank = type.has_shape ? type.shape.rank() : FASTORT_UNKNOWN_RANK;
    tensor.dims = type.shape.begin();
    return;
  }
  Value value = call.frame->input(index);
  if (!value.is_tensor() || value.tensor().type() == DataType::String)
    invalid_argument("input " + std::to_string(index) + (value.is_tensor() ? " holds strings" : " is no tensor") +
                     ", which compiled operators do not take");
  call.held.push_back(std::move(value));
  const Tensor& held = call.held.back().tensor();
  tensor.type = static_cast<int32_t>(held.type());
  tensor.rank = held.shape().rank();
  tensor.dims = held.shape().begin();
  tensor.data = held.raw();
}

void* make_output(FastortCall& call, int32_t index, int32_t type, const int64_t* dims, int32_t rank) {
  if (index < 0 || index >= static_cast<int32_t>(call.node.outputs.size()))
    invalid_argument("a custom operator makes its output " + std::to_string(index) + ", but the node has " +
                     std::to_string(call.node.outputs.size()));
  if (!is_element_type(type) || type == FASTORT_STRING)
    invalid_argument("output " + std::to_string(index) + " cannot have the element type " + std::to_string(type));
  const auto element = static_cast<DataType>(type);
  Shape shape;
  for (int32_t i = 0; i < rank; ++i) shape.push_back(dims[i]);
  if (call.infer) {
    for (Dim& dim : shape)
      if (!is_known(dim) && !is_symbol(dim)) dim = call.infer->unknown();
    if (rank < 0)
      call.infer->out(index, element);
    else
      call.infer->out(index, element, shape);
    return nullptr;
  }
  if (rank < 0 || !shape.is_concrete() || !checked_count(shape))
    invalid_argument("output " + std::to_string(index) + " cannot have the shape " + to_string(shape));
  call.made[static_cast<size_t>(index)] = true;
  // What an empty output has for memory.
  static std::byte nothing{};
  if (!call.node.has_output(index)) {
    call.held.emplace_back(Tensor(element, shape));
    return shape.count() ? call.held.back().tensor().raw() : &nothing;
  }
  const Tensor tensor = call.frame->allocate_output(index, element, shape);
  return tensor.bytes() ? static_cast<void*>(tensor.raw()) : &nothing;
}

template <class T>
const T* attribute(const FastortCall* call, const char* name) {
  const Attribute* found = call->node.attributes.find(name);
  return found ? std::get_if<T>(found) : nullptr;
}

template <class T>
int attribute_list(const FastortCall* call, const char* name, const T** items, int64_t* count) {
  const auto* list = attribute<std::vector<T>>(call, name);
  if (!list) return kFailed;
  *items = list->data();
  *count = static_cast<int64_t>(list->size());
  return 0;
}

template <class T>
int attribute_scalar(const FastortCall* call, const char* name, T* value) {
  const T* found = attribute<T>(call, name);
  if (found) *value = *found;
  return found ? 0 : kFailed;
}

// An operator of a library.
class CompiledOp final : public CustomOp {
 public:
  explicit CompiledOp(const FastortOp& op) : CustomOp(op.domain, op.name), op_(op) {}
  void infer(InferContext& context) const override;
  void compute(const Node& node, Frame& frame, const Parallel& parallel) const override;

 private:
  static void finish(FastortCall& call, int status) {
    if (call.error) std::rethrow_exception(call.error);
    if (status != 0)
      fail(ErrorCode::Fail, call.message.empty() ? "the custom operator failed and gave no reason" : call.message);
  }
  FastortOp op_;
};

int register_op(FastortRegistry* registry, const FastortOp* op) {
  try {
    constexpr uint32_t kFirstVersion = sizeof(FastortOp);
    if (op->size < kFirstVersion || !op->domain || !op->name || !op->compute) {
      registry->message = "an operator lacks its domain, its name or `compute`, or was made for another version";
      return kFailed;
    }
    registry->ops.push_back(std::make_shared<CompiledOp>(*op));
    return 0;
  } catch (const std::exception& error) {
    registry->message = error.what();
    return kFailed;
  }
}

int parallel_for(FastortCall* call, int64_t n, int64_t grain, void (*body)(void*, int64_t, int64_t), void* user) {
  return guarded(*call, [&] {
    if (!call->parallel) invalid_argument("parallel_for is for `compute`");
    call->parallel->range(n, grain, [&](int64_t begin, int64_t end) { body(user, begin, end); });
  });
}

const FastortApi& api() {
  static const FastortApi kApi = {
      .version = FASTORT_CUSTOM_OP_VERSION,
      .register_op = register_op,
      .num_inputs = [](const FastortCall* call) -> int32_t { return call->node.num_inputs(); },
      .num_outputs = [](const FastortCall* call) { return static_cast<int32_t>(call->node.outputs.size()); },
      .input = [](FastortCall* call, int32_t index,
                  FastortTensor* tensor) { return guarded(*call, [&] { fill_input(*call, index, *tensor); }); },
      .output = [](FastortCall* call, int32_t index, int32_t type, const int64_t* dims, int32_t rank) -> void* {
        void* data = nullptr;
        guarded(*call, [&] { data = make_output(*call, index, type, dims, rank); });
        return data;
      },
      .attribute_int = attribute_scalar<int64_t>,
      .attribute_float = attribute_scalar<float>,
      .attribute_string =
          [](const FastortCall* call, const char* name, const char** text, int64_t* bytes) {
            const auto* found = attribute<std::string>(call, name);
            if (!found) return kFailed;
            *text = found->data();
            *bytes = static_cast<int64_t>(found->size());
            return 0;
          },
      .attribute_ints = attribute_list<int64_t>,
      .attribute_floats = attribute_list<float>,
      .parallel_for = parallel_for,
      .fail =
          [](FastortCall* call, const char* message) {
            guarded(*call, [&] { call->message = message ? message : ""; });
            return kFailed;
          },
  };
  return kApi;
}

void CompiledOp::infer(InferContext& context) const {
  if (!op_.infer) {
    if (!context.has_input(0)) context.fail("a custom operator without `infer` needs an input 0 to be like");
    for (ValueType& output : context.outputs) output = context.in(0);
    return;
  }
  FastortCall call{.node = context.node, .infer = &context};
  finish(call, op_.infer(&api(), &call, op_.user));
  for (size_t i = 0; i < context.outputs.size(); ++i) {
    if (context.node.outputs[i] != kNoValue && context.outputs[i].kind == ValueKind::Unknown)
      context.fail("its `infer` does not say what output " + std::to_string(i) + " is");
  }
}

void CompiledOp::compute(const Node& node, Frame& frame, const Parallel& parallel) const {
  FastortCall call{.node = node, .frame = &frame, .parallel = &parallel};
  call.made.resize(node.outputs.size());
  finish(call, op_.compute(&api(), &call, op_.user));
  for (size_t i = 0; i < node.outputs.size(); ++i) {
    if (node.has_output(static_cast<int>(i)) && !call.made[i])
      fail(ErrorCode::Fail, "the custom operator made no output " + std::to_string(i));
  }
}

void* open_library(const std::string& path, std::string& reason) {
#if defined(_WIN32)
  void* library = static_cast<void*>(LoadLibraryA(path.c_str()));
  if (!library) reason = "Windows' error " + std::to_string(GetLastError());
#else
  void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!library) reason = dlerror();
#endif
  return library;
}

void* find_symbol(void* library, const char* name) {
#if defined(_WIN32)
  return reinterpret_cast<void*>(GetProcAddress(static_cast<HMODULE>(library), name));
#else
  return dlsym(library, name);
#endif
}

}  // namespace

std::vector<CustomOpPtr> load_custom_library(const std::string& path) {
  std::string reason;
  void* library = open_library(path, reason);
  if (!library) fail(ErrorCode::Fail, "Failed to load library " + path + " with error: " + reason);
  using Register = int (*)(const FastortApi*, FastortRegistry*);
  const auto enter = reinterpret_cast<Register>(find_symbol(library, "fastort_register_ops"));
  if (!enter) {
    const bool other = find_symbol(library, "RegisterCustomOps") != nullptr;
    fail(ErrorCode::Fail, "Failed to load library " + path +
                              ": it does not export `fastort_register_ops`, see fastort/custom_op.h" +
                              (other ? "; it is made for ONNX Runtime's C interface, and must be compiled anew" : ""));
  }
  FastortRegistry registry;
  if (enter(&api(), &registry) != 0)
    fail(ErrorCode::Fail, "Failed to load library " + path + ": " +
                              (registry.message.empty() ? "it could not register its operators" : registry.message));
  for (const CustomOpPtr& op : registry.ops) check_custom_op(*op);
  return std::move(registry.ops);
}

}  // namespace fastort
