#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <string>
#include <vector>

#include "base/error.h"
#include "graph/graph.h"

namespace fastort {
namespace {

ValueType floats(Shape shape) { return ValueType::tensor(DataType::Float, std::move(shape)); }

ValueId add_node(Graph& graph, const std::string& op_type, std::vector<ValueId> inputs, const std::string& output) {
  const ValueId id = graph.add_value(output, floats({2}));
  Node node;
  node.op_type = op_type;
  node.name = "node_" + output;
  node.inputs = std::move(inputs);
  node.outputs = {id};
  graph.nodes.push_back(std::move(node));
  return id;
}

std::string names(const Graph& graph) {
  std::string all;
  for (const Node& node : graph.nodes) all += node.name.substr(5);
  return all;
}

std::string error_of(const auto& call) {
  try {
    call();
  } catch (const Error& error) {
    CHECK(error.code() == ErrorCode::InvalidGraph);
    return error.what();
  }
  return "no error";
}

bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

// x -> a -> b, c = a + b, returned: c.
Graph diamond() {
  Graph graph;
  graph.name = "diamond";
  const ValueId x = graph.add_value("x", floats({2}));
  graph.inputs = {x};
  const ValueId a = add_node(graph, "Relu", {x}, "a");
  const ValueId b = add_node(graph, "Neg", {a}, "b");
  graph.outputs = {add_node(graph, "Add", {a, b}, "c")};
  return graph;
}

TEST_CASE("attributes are read by type") {
  Attributes attributes;
  attributes.set("axis", int64_t{3});
  attributes.set("alpha", 0.5f);
  attributes.set("mode", std::string("linear"));
  attributes.set("pads", std::vector<int64_t>{1, 2});
  CHECK(attributes.get_int("axis") == 3);
  CHECK(attributes.get_int("other", 7) == 7);
  CHECK(attributes.get_float("alpha", 0) == 0.5f);
  CHECK(attributes.get_string("mode", "") == "linear");
  CHECK(attributes.get_ints("pads") == std::vector<int64_t>{1, 2});
  CHECK(attributes.get_strings("none").empty());
  CHECK(attributes.get_tensor("none") == nullptr);
  CHECK(contains(error_of([&] { attributes.get_int("alpha", 0); }), "'alpha' is a float where an int"));
  CHECK(contains(error_of([&] { attributes.get_int("none"); }), "'none' is missing"));
  CHECK(contains(error_of([&] { attributes.get_graph("body"); }), "'body' is missing"));
  attributes.set("axis", int64_t{4});
  CHECK(attributes.get_int("axis") == 4);
  attributes.erase("axis");
  CHECK_FALSE(attributes.has("axis"));
  CHECK(attributes.size() == 3);
}

TEST_CASE("values, uses and lookups") {
  Graph graph = diamond();
  const ValueId constant = graph.add_constant("k", Tensor::scalar<float>(1));
  CHECK(graph.constant(constant) != nullptr);
  CHECK(graph.constant(kNoValue) == nullptr);
  CHECK(graph.find("b") == 2);
  CHECK(graph.find("nothing") == kNoValue);
  CHECK(graph.is_output(graph.find("c")));
  const Uses uses(graph);
  CHECK(uses.of(graph.find("a")) == std::vector<int>{1, 2});
  CHECK(uses.single(graph.find("b")));
  CHECK_FALSE(uses.single(graph.find("a")));
  CHECK_FALSE(uses.single(graph.find("c")));
  CHECK(uses.producer(graph.find("c")) == 2);
  CHECK(uses.producer(graph.find("x")) == -1);
}

TEST_CASE("sorting keeps an order that is fine and mends one that is not") {
  Graph graph = diamond();
  sort_topologically(graph);
  CHECK(names(graph) == "abc");
  std::swap(graph.nodes[0], graph.nodes[2]);
  CHECK(names(graph) == "cba");
  sort_topologically(graph);
  CHECK(names(graph) == "abc");
  verify(graph);
}

TEST_CASE("a cycle is an error that names its nodes") {
  Graph graph = diamond();
  graph.nodes[0].inputs = {graph.find("b")};
  const std::string error = error_of([&] { sort_topologically(graph); });
  CHECK(contains(error, "cycle"));
  CHECK(contains(error, "node_a"));
  CHECK(contains(error, "node_b"));
  CHECK_FALSE(contains(error, "node_c"));
  graph.nodes[0].inputs = {graph.find("a")};
  CHECK(contains(error_of([&] { sort_topologically(graph); }), "reads its own output"));
}

TEST_CASE("a long chain in reverse is sorted in little time and stack") {
  Graph graph;
  ValueId last = graph.add_value("x", floats({2}));
  graph.inputs = {last};
  constexpr int kNodes = 200000;
  for (int i = 0; i < kNodes; ++i) last = add_node(graph, "Relu", {last}, std::to_string(i));
  graph.outputs = {last};
  std::reverse(graph.nodes.begin(), graph.nodes.end());
  const auto start = std::chrono::steady_clock::now();
  sort_topologically(graph);
  CHECK(std::chrono::steady_clock::now() - start < std::chrono::seconds(10));
  CHECK(graph.nodes[0].name == "node_0");
  verify(graph);
}

TEST_CASE("verify finds what is broken") {
  const auto error = [](auto&& damage) {
    Graph graph = diamond();
    damage(graph);
    return error_of([&] { verify(graph); });
  };
  CHECK(error([](Graph&) {}) == "no error");
  CHECK(contains(error([](Graph& g) { std::swap(g.nodes[0], g.nodes[1]); }), "'a', which is not made before it"));
  CHECK(contains(error([](Graph& g) { g.nodes[1].inputs[0] = 99; }), "input 0 is no value"));
  CHECK(contains(error([](Graph& g) { g.nodes[1].inputs[0] = -5; }), "input 0 is no value"));
  CHECK(contains(error([](Graph& g) { g.nodes[1].outputs[0] = 99; }), "an output is no value"));
  CHECK(contains(error([](Graph& g) { g.nodes[1].outputs[0] = g.find("a"); }), "made elsewhere too"));
  CHECK(contains(error([](Graph& g) { g.nodes[1].outputs[0] = g.find("x"); }), "made elsewhere too"));
  CHECK(contains(error([](Graph& g) { g.outputs.push_back(kNoValue); }), "is no value"));
  CHECK(contains(error([](Graph& g) { g.outputs.push_back(g.add_value("loose")); }), "made by no node"));
  CHECK(contains(error([](Graph& g) { g.inputs.push_back(g.inputs[0]); }), "made elsewhere too"));
  CHECK(contains(error([](Graph& g) { g.nodes[0].captures = 2; }), "captures"));
  CHECK(contains(error([](Graph& g) { g.nodes[0].captures = 1; }), "no body"));
  CHECK(contains(error([](Graph& g) { g.overridable.push_back(g.inputs[0]); }), "has no value"));
  CHECK(contains(error([](Graph& g) {
                   const ValueId id = g.add_constant("k", Tensor::scalar<float>(1));
                   g.value(id).type = floats({3});
                 }),
                 "its type says"));
  CHECK(error([](Graph& g) { g.nodes[2].inputs.push_back(kNoValue); }) == "no error");
}

// An If whose bodies capture the value a.
Graph with_body() {
  Graph graph = diamond();
  auto body = std::make_shared<Graph>();
  body->name = "then";
  body->symbols = graph.symbols;
  const ValueId inner = body->add_value("a_inside", floats({2}));
  body->inputs = {inner};
  body->outputs = {add_node(*body, "Neg", {inner}, "n")};
  const ValueId condition = graph.add_constant("condition", Tensor::scalar<bool>(true));
  add_node(graph, "If", {condition, graph.find("a")}, "d");
  Node& node = graph.nodes.back();
  node.captures = 1;
  node.attributes.set("then_branch", body);
  node.attributes.set("else_branch", body);
  return graph;
}

TEST_CASE("bodies are verified too") {
  Graph graph = with_body();
  verify(graph);
  CHECK(graph.nodes.back().num_inputs() == 1);
  CHECK_FALSE(graph.nodes.back().has_input(1));
  const Uses uses(graph);
  CHECK(uses.of(graph.find("a")).size() == 3);
  const auto body = graph.nodes.back().attributes.get_graph("then_branch");
  body->nodes[0].inputs[0] = body->find("n");
  CHECK(contains(error_of([&] { verify(graph); }), "graph 'then'"));
  body->nodes[0].inputs[0] = body->inputs[0];
  body->symbols = std::make_shared<SymbolTable>();
  CHECK(contains(error_of([&] { verify(graph); }), "symbol table"));
  body->symbols = graph.symbols;
  body->inputs.clear();
  CHECK(contains(error_of([&] { verify(graph); }), "fewer inputs"));
}

TEST_CASE("a listing shows nodes, types, attributes and bodies") {
  Graph graph = with_body();
  graph.nodes[0].attributes.set("axes", std::vector<int64_t>{1, -1});
  graph.nodes[0].attributes.set("alpha", 0.25f);
  graph.nodes[1].domain = "com.microsoft";
  graph.value(graph.find("b")).type = floats({graph.symbols->named("batch"), 3});
  const std::string text = print(graph);
  CHECK(contains(text, "graph 'diamond' (%0 'x': float[2])"));
  CHECK(contains(text, "%1 'a': float[2] = Relu(%0 'x') {axes=[1,-1], alpha=0.25}  # node_a"));
  CHECK(contains(text, "%2 'b': float[batch,3] = com.microsoft::Neg(%1 'a')"));
  CHECK(contains(text, "constant %4 'condition': bool[]"));
  CHECK(contains(text, "graph 'then'"));
  CHECK(contains(text, "return %3 'c': float[2]"));
  CHECK(describe(graph, graph.nodes[0]) == "Relu node 'node_a' (output 'a')");
  CHECK(describe(graph.nodes[1]) == "com.microsoft.Neg node 'node_b'");
  CHECK(describe(ValueType::tensor(DataType::Float), *graph.symbols) == "float[...]");
}

}  // namespace
}  // namespace fastort
