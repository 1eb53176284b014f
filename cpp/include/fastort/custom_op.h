/* Operators of your own for fastort, as a shared library. This header is all that they need: plain C, no fastort
 * symbols to link to.
 *
 * The library exports one function,
 *
 *     int fastort_register_ops(const FastortApi* api, FastortRegistry* registry);
 *
 * which calls `api->register_op` for each operator and returns 0. `SessionOptions.register_custom_ops_library(path)`
 * loads it; the library stays loaded for as long as the process lives. From C++ see the classes at the end.
 */
#ifndef FASTORT_CUSTOM_OP_H
#define FASTORT_CUSTOM_OP_H

#include <stdint.h>

/* Grows when something is added at the end of a struct; a library of an older version keeps working. */
#define FASTORT_CUSTOM_OP_VERSION 1

#if defined(_WIN32)
#define FASTORT_EXPORT __declspec(dllexport)
#else
#define FASTORT_EXPORT __attribute__((visibility("default")))
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* Element types have the numbers of onnx.TensorProto.DataType. */
enum {
  FASTORT_FLOAT = 1,
  FASTORT_UINT8 = 2,
  FASTORT_INT8 = 3,
  FASTORT_UINT16 = 4,
  FASTORT_INT16 = 5,
  FASTORT_INT32 = 6,
  FASTORT_INT64 = 7,
  FASTORT_STRING = 8,
  FASTORT_BOOL = 9,
  FASTORT_FLOAT16 = 10,
  FASTORT_DOUBLE = 11,
  FASTORT_UINT32 = 12,
  FASTORT_UINT64 = 13,
  FASTORT_BFLOAT16 = 16
};

/* While types are inferred a size may not be known yet: it is negative then, and may be handed on as the size of an
 * output's dimension. This one says that nothing is known of a size. */
#define FASTORT_UNKNOWN_SIZE ((int64_t)-1)
/* The rank of a tensor whose rank is not known while types are inferred. */
#define FASTORT_UNKNOWN_RANK (-1)

typedef struct FastortCall FastortCall;         /* one node, while its types are inferred or while it runs */
typedef struct FastortRegistry FastortRegistry; /* where operators are registered */
typedef struct FastortApi FastortApi;

/* A tensor in C order. Valid until the function that asked for it returns. */
typedef struct FastortTensor {
  int32_t type;
  int32_t rank;
  const int64_t* dims;
  const void* data; /* NULL while types are inferred */
} FastortTensor;

/* Functions return 0, or another number after `api->fail` was called. */
typedef struct FastortOp {
  uint32_t size; /* sizeof(FastortOp) */
  const char* domain;
  const char* name;
  void* user; /* handed to the functions; must live as long as the process */
  /* Says type and shape of each output by `api->output`. NULL: every output is like input 0. May be called from any
   * thread and must be quick. */
  int (*infer)(const FastortApi* api, FastortCall* call, void* user);
  /* Computes the outputs, whose memory `api->output` gives. May be called from several threads at once. */
  int (*compute)(const FastortApi* api, FastortCall* call, void* user);
} FastortOp;

struct FastortApi {
  uint32_t version; /* FASTORT_CUSTOM_OP_VERSION of the engine */

  int (*register_op)(FastortRegistry* registry, const FastortOp* op);

  /* The numbers of inputs and outputs that the node has. */
  int32_t (*num_inputs)(const FastortCall* call);
  int32_t (*num_outputs)(const FastortCall* call);
  /* Fills `tensor`; fails for a string tensor or what is no tensor. An input that is left out has type 0. */
  int (*input)(FastortCall* call, int32_t index, FastortTensor* tensor);
  /* Declares an output and returns its memory; NULL while types are inferred, or where it failed. An output without
   * elements has memory too. */
  void* (*output)(FastortCall* call, int32_t index, int32_t type, const int64_t* dims, int32_t rank);

  /* Attributes of the node. They return 0 where there is one of that name and type, and leave the value as it was
   * where there is none. Texts and lists are valid until the function returns. */
  int (*attribute_int)(const FastortCall* call, const char* name, int64_t* value);
  int (*attribute_float)(const FastortCall* call, const char* name, float* value);
  int (*attribute_string)(const FastortCall* call, const char* name, const char** text, int64_t* bytes);
  int (*attribute_ints)(const FastortCall* call, const char* name, const int64_t** items, int64_t* count);
  int (*attribute_floats)(const FastortCall* call, const char* name, const float** items, int64_t* count);

  /* Calls body(user, begin, end) over pieces of [0, n) of at least `grain` items on the session's threads. `body` must
   * not throw. Returns another number than 0 where the run was stopped: return it at once. */
  int (*parallel_for)(FastortCall* call, int64_t n, int64_t grain, void (*body)(void* user, int64_t begin, int64_t end),
                      void* user);

  /* Says why a function fails; returns the number to return. */
  int (*fail)(FastortCall* call, const char* message);
};

#ifdef __cplusplus
}

#include <exception>
#include <initializer_list>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <vector>

/* What is above, for C++: a class with `infer` and `compute`, and `register_op<MyOp>(api, registry, domain, name)`. */
namespace fastort_custom {

template <class T>
constexpr int32_t element_type() {
  if constexpr (std::is_same<T, float>::value) return FASTORT_FLOAT;
  if constexpr (std::is_same<T, double>::value) return FASTORT_DOUBLE;
  if constexpr (std::is_same<T, int8_t>::value) return FASTORT_INT8;
  if constexpr (std::is_same<T, uint8_t>::value) return FASTORT_UINT8;
  if constexpr (std::is_same<T, int16_t>::value) return FASTORT_INT16;
  if constexpr (std::is_same<T, uint16_t>::value) return FASTORT_UINT16;
  if constexpr (std::is_same<T, int32_t>::value) return FASTORT_INT32;
  if constexpr (std::is_same<T, uint32_t>::value) return FASTORT_UINT32;
  if constexpr (std::is_same<T, int64_t>::value) return FASTORT_INT64;
  if constexpr (std::is_same<T, uint64_t>::value) return FASTORT_UINT64;
  if constexpr (std::is_same<T, bool>::value) return FASTORT_BOOL;
  return 0;
}

/* One node, while its types are inferred or while it runs. Methods throw std::runtime_error. */
class Call {
 public:
  Call(const FastortApi* api, FastortCall* call) : api_(api), call_(call) {}

  int num_inputs() const { return api_->num_inputs(call_); }
  int num_outputs() const { return api_->num_outputs(call_); }

  FastortTensor input(int index) const {
    FastortTensor tensor{};
    if (api_->input(call_, index, &tensor)) throw Failed();
    return tensor;
  }
  std::vector<int64_t> shape(int index) const {
    const FastortTensor tensor = input(index);
    return {tensor.dims, tensor.dims + (tensor.rank < 0 ? 0 : tensor.rank)};
  }
  template <class T>
  const T* data(int index) const {
    const FastortTensor tensor = input(index);
    if (tensor.type != element_type<T>())
      throw std::runtime_error("input " + std::to_string(index) + " has the element type " +
                               std::to_string(tensor.type) + ", expected " + std::to_string(element_type<T>()));
    return static_cast<const T*>(tensor.data);
  }

  template <class T>
  T* output(int index, const std::vector<int64_t>& dims) const {
    return static_cast<T*>(output(index, element_type<T>(), dims));
  }
  void* output(int index, int32_t type, const std::vector<int64_t>& dims) const {
    return api_->output(call_, index, type, dims.data(), static_cast<int32_t>(dims.size()));
  }
  /* While types are inferred: an output whose rank is not known. */
  void output_of_unknown_rank(int index, int32_t type) const {
    api_->output(call_, index, type, nullptr, FASTORT_UNKNOWN_RANK);
  }

  int64_t attribute(const char* name, int64_t fallback) const {
    api_->attribute_int(call_, name, &fallback);
    return fallback;
  }
  float attribute(const char* name, float fallback) const {
    api_->attribute_float(call_, name, &fallback);
    return fallback;
  }
  std::string attribute(const char* name, const std::string& fallback) const {
    const char* text = nullptr;
    int64_t bytes = 0;
    return api_->attribute_string(call_, name, &text, &bytes) ? fallback
                                                              : std::string(text, static_cast<size_t>(bytes));
  }
  std::vector<int64_t> attribute(const char* name, const std::vector<int64_t>& fallback) const {
    const int64_t* items = nullptr;
    int64_t count = 0;
    return api_->attribute_ints(call_, name, &items, &count) ? fallback : std::vector<int64_t>(items, items + count);
  }

  /* `body(begin, end)` must not throw. */
  template <class Body>
  void parallel_for(int64_t n, int64_t grain, Body body) const {
    auto trampoline = [](void* user, int64_t begin, int64_t end) { (*static_cast<Body*>(user))(begin, end); };
    if (api_->parallel_for(call_, n, grain, trampoline, &body)) throw Failed();
  }

  /* The reason was told to the engine already. */
  struct Failed : std::runtime_error {
    Failed() : std::runtime_error("failed") {}
  };

  template <class Work>
  static int guarded(const FastortApi* api, FastortCall* call, Work work) {
    try {
      work(Call(api, call));
      return 0;
    } catch (const Failed&) {
      return 1;
    } catch (const std::exception& error) {
      return api->fail(call, error.what());
    } catch (...) {
      return api->fail(call, "unknown exception");
    }
  }

 private:
  const FastortApi* api_;
  FastortCall* call_;
};

/* Registers a class with the static functions `void infer(const Call&)` and `void compute(const Call&)`. */
template <class Op>
int register_op(const FastortApi* api, FastortRegistry* registry, const char* domain, const char* name) {
  FastortOp op{};
  op.size = sizeof(op);
  op.domain = domain;
  op.name = name;
  op.infer = [](const FastortApi* a, FastortCall* call, void*) {
    return Call::guarded(a, call, [](const Call& c) { Op::infer(c); });
  };
  op.compute = [](const FastortApi* a, FastortCall* call, void*) {
    return Call::guarded(a, call, [](const Call& c) { Op::compute(c); });
  };
  return api->register_op(registry, &op);
}

}  // namespace fastort_custom
#endif

#endif /* FASTORT_CUSTOM_OP_H */
