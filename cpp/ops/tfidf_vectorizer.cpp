#include <algorithm>
#include <string>
#include <unordered_map>
#include <vector>

#include "ops/op.h"

namespace fastort {
namespace {

constexpr int64_t kMostOutputs = int64_t{1} << 31;

// The n-grams of the pool as a tree: node 0 is the root, and a step from one node to the next is a token. Tokens are
// numbered in the order of their first appearance.
template <class Key>
struct Ngrams {
  std::unordered_map<Key, int32_t> tokens;
  std::unordered_map<uint64_t, int32_t> steps;  // by node and token
  std::vector<int64_t> outputs{-1};             // for each node where its n-gram is counted, or -1

  static uint64_t step(int32_t node, int32_t token) {
    return static_cast<uint64_t>(static_cast<uint32_t>(node)) << 32 | static_cast<uint32_t>(token);
  }
  int32_t token(const Key& key) const {
    const auto found = tokens.find(key);
    return found == tokens.end() ? -1 : found->second;
  }
  int32_t next(int32_t node, int32_t token) const {
    const auto found = steps.find(step(node, token));
    return found == steps.end() ? -1 : found->second;
  }
  void add(std::span<const Key> gram, int64_t output) {
    int32_t node = 0;
    for (const Key& key : gram) {
      const int32_t token = tokens.try_emplace(key, static_cast<int32_t>(tokens.size())).first->second;
      const auto [at, fresh] = steps.try_emplace(step(node, token), static_cast<int32_t>(outputs.size()));
      if (fresh) outputs.push_back(-1);
      node = at->second;
    }
    outputs[static_cast<size_t>(node)] = output;
  }
};

struct Settings {
  bool truncate = false;  // counts above 1 become 1 (IDF)
  int64_t shortest = 1, longest = 1, most_skips = 0, size = 0;
  std::vector<int64_t> starts, indexes;
  std::vector<float> weights;  // empty: all 1

  explicit Settings(const Node& node) {
    const Attributes& attributes = node.attributes;
    const std::string mode = attributes.get_string("mode", "");
    if (mode != "TF" && mode != "IDF" && mode != "TFIDF")
      invalid_graph("mode must be TF, IDF or TFIDF, got '" + mode + "'");
    truncate = mode == "IDF";
    shortest = attributes.get_int("min_gram_length");
    longest = attributes.get_int("max_gram_length");
    most_skips = attributes.get_int("max_skip_count");
    if (shortest < 1 || longest < shortest)
      invalid_graph("1 <= min_gram_length <= max_gram_length is needed, got " + std::to_string(shortest) + " and " +
                    std::to_string(longest));
    if (most_skips < 0) invalid_graph("max_skip_count is negative");
    starts = attributes.get_ints("ngram_counts");
    indexes = attributes.get_ints("ngram_indexes");
    for (const int64_t index : indexes) {
      if (index < 0 || index >= kMostOutputs)
        invalid_graph("ngram_indexes: " + std::to_string(index) + " is no place in the output");
      size = std::max(size, index + 1);
    }
    if (indexes.empty()) invalid_graph("ngram_indexes is empty");
    weights = attributes.get_floats("weights");
    if (mode == "TF") weights.clear();
    if (!weights.empty() && static_cast<int64_t>(weights.size()) < size)
      invalid_graph("weights holds " + std::to_string(weights.size()) + " numbers for an output of " +
                    std::to_string(size));
  }
};

template <class Key>
Ngrams<Key> build(const Settings& settings, const std::vector<Key>& pool) {
  Ngrams<Key> grams;
  size_t gram = 0;
  for (size_t i = 0; i < settings.starts.size(); ++i) {
    const int64_t length = static_cast<int64_t>(i) + 1, begin = settings.starts[i];
    const int64_t end = i + 1 < settings.starts.size() ? settings.starts[i + 1] : static_cast<int64_t>(pool.size());
    if (begin < 0 || end < begin || end > static_cast<int64_t>(pool.size()) || (end - begin) % length != 0)
      invalid_graph("TfIdfVectorizer: ngram_counts does not divide a pool of " + std::to_string(pool.size()) +
                    " items into " + std::to_string(length) + "-grams");
    for (int64_t at = begin; at < end; at += length, ++gram) {
      if (gram >= settings.indexes.size())
        invalid_graph("TfIdfVectorizer: ngram_indexes has fewer items than the pool has n-grams");
      if (length < settings.shortest || length > settings.longest) continue;
      grams.add(std::span(pool).subspan(static_cast<size_t>(at), static_cast<size_t>(length)), settings.indexes[gram]);
    }
  }
  return grams;
}

// Counts the n-grams of one row of `n` tokens.
template <class Key>
void count(const Ngrams<Key>& grams, const Settings& settings, const int32_t* tokens, int64_t n, float* dst) {
  // A step beyond the row's end finds nothing.
  const int64_t longest_step = std::min(settings.most_skips, std::max<int64_t>(n - 1, 0)) + 1;
  for (int64_t step = 1; step <= longest_step; ++step) {
    // Single tokens are the same for every step.
    const int64_t shortest = step > 1 ? std::max<int64_t>(settings.shortest, 2) : settings.shortest;
    if (shortest > settings.longest) return;
    for (int64_t start = 0; start < n; ++start) {
      int32_t node = 0;
      int64_t length = 1;
      for (int64_t at = start; at < n && length <= settings.longest; at += step, ++length) {
        node = tokens[at] < 0 ? -1 : grams.next(node, tokens[at]);
        if (node < 0) break;
        const int64_t output = grams.outputs[static_cast<size_t>(node)];
        if (length >= shortest && output >= 0) dst[output] += 1;
      }
    }
  }
}

void infer_vectorizer(InferContext& context) {
  const Settings settings(context.node);
  const bool strings = context.attributes().has("pool_strings"), ints = context.attributes().has("pool_int64s");
  if (strings == ints) context.fail("one of pool_strings and pool_int64s is needed");
  const DataType type = context.type(0);
  if (strings != (type == DataType::String))
    context.fail(strings ? "pool_strings needs an input of strings" : "pool_int64s needs an input of integers");
  if (!context.has_shape(0)) return context.out(0, DataType::Float);
  const Shape& shape = context.shape(0);
  if (shape.rank() > 2) context.fail("the input must be [C] or [N,C], got " + to_string(shape, context.symbols));
  context.out(0, DataType::Float, shape.rank() == 2 ? Shape{shape[0], settings.size} : Shape{settings.size});
}

// `Item` is the type of the input's elements, `Key` that of the pool's.
template <class Item, class Key>
std::unique_ptr<Kernel> make(const OpContext& context, const std::vector<Key>& pool) {
  const Settings settings(context.node);
  const Shape& shape = context.shape(0);
  const int64_t rows = shape.rank() == 2 ? shape[0] : 1, n = shape.rank() == 0 ? 1 : shape[shape.size() - 1];
  const int64_t grain = std::max<int64_t>(1, 1024 / std::max<int64_t>(1, n));
  return make_kernel(
      [=, grams = build(settings, pool)](const KernelArgs& args) {
        const Item* src = args.in<Item>(0);
        auto* tokens = reinterpret_cast<int32_t*>(args.workspace);
        float* dst = args.out<float>(0);
        args.parallel.range(rows, grain, [&](int64_t begin, int64_t end) {
          for (int64_t i = begin * n; i < end * n; ++i) tokens[i] = grams.token(Key(src[i]));
          for (int64_t row = begin; row < end; ++row) {
            float* counts = dst + row * settings.size;
            std::fill_n(counts, settings.size, 0.0f);
            count(grams, settings, tokens + row * n, n, counts);
            for (int64_t i = 0; i < settings.size; ++i) {
              if (settings.truncate) counts[i] = std::min(counts[i], 1.0f);
              if (!settings.weights.empty()) counts[i] *= settings.weights[static_cast<size_t>(i)];
            }
          }
        });
      },
      static_cast<size_t>(rows * n) * sizeof(int32_t));
}

std::unique_ptr<Kernel> prepare_vectorizer(const OpContext& context) {
  if (context.type(0) == DataType::String)
    return make<std::string>(context, context.attributes().get_strings("pool_strings"));
  const std::vector<int64_t> pool = context.attributes().get_ints("pool_int64s");
  return context.type(0) == DataType::Int32 ? make<int32_t>(context, pool) : make<int64_t>(context, pool);
}

constexpr Candidate kVectorizer[] = {{"tree", nullptr, prepare_vectorizer}};
constexpr OpDef kOps[] = {
    {"", "TfIdfVectorizer", infer_vectorizer, kVectorizer,
     TypeMask{DataType::String, DataType::Int32, DataType::Int64}},
};

}  // namespace

std::span<const OpDef> tfidf_vectorizer_ops() { return kOps; }

}  // namespace fastort
