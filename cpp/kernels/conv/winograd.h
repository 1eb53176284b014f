#pragma once

#include <cstddef>

#include "base/parallel.h"
#include "kernels/conv/conv_shape.h"

namespace fastort::kernels {

// Convolution with a 3x3 kernel, stride 1, by Winograd's F(4x4,3x3) at the points 0, +-1/sqrt(2), +-sqrt(2) and
// infinity, which needs 36 multiplications for 16 outputs instead of 144, or by F(2x2,3x3) at 0, +-1 and infinity,
// which needs 16 for 4 outputs instead of 36, and less than half of the weights. Source and destination lie in blocks
// of `block` channels (8 or 16).
class WinogradConv {
 public:
  // `shape` has rank 2, a 3x3 kernel, stride, dilation and groups 1, and pads that are not negative. `tile`: rows and
  // columns of outputs that are computed together, 4 or 2.
  WinogradConv(const ConvShape& shape, const ConvEpilogue& epilogue, int tile, int block, int threads);

  size_t weights_bytes() const;
  // From ONNX's [M,C,3,3].
  void pack_weights(const float* weights, float* dst, const Parallel& parallel) const;
  size_t workspace_bytes() const;

  // `workspace` and `weights` are aligned to 64 bytes.
  void run(const float* src, const float* weights, const float* bias, const float* residual, float* dst,
           float* workspace, const Parallel& parallel) const;

  // Tiles of outputs, padding included; what the costs are made of.
  int64_t tiles() const { return shape_.batch * tile_rows_ * tile_columns_; }

  // Whether threads wait for what others have transformed.
  bool shares_maps() const { return !own_ && threads_ > 1; }
  // Bytes of weights that the threads read from the third-level cache, those of the first reading included; 0 where
  // each weight is read once.
  double reread_weights() const { return reread_; }

  struct Sizes {
    int tile;  // outputs in a row of a tile
    int64_t height, width, out_height, out_width, pad_top, pad_left;
    int64_t tile_rows, tile_columns;
    int64_t in_blocks, out_blocks;  // of channels
    int64_t in_padded;              // channels, padding included
    int64_t out_channels;
    int block;
    int64_t panels;  // of 16 output channels
    ActivationSpec activation;

    // At which a tile is multiplied.
    int points() const { return (tile + 2) * (tile + 2); }
  };
  Sizes sizes() const;

 private:
  struct Operands {
    const float* src;
    const float* weights;
    const float* bias;
    const float* residual;
    float* dst;
  };
  void choose_tiles();
  // Of one block of channels of `count` tiles, the first of which is `first`.
  void transform(const Operands& x, int64_t channel_block, int64_t first, int64_t count, float* transformed) const;
  // Of the panels from `first_panel` on, for as many tiles; `products` has room for the panels of a group.
  void multiply(const Operands& x, int64_t first_panel, int64_t panels, int64_t first_tile, int64_t count,
                const float* transformed, float* products) const;
  void run_shared(const Operands& x, float* workspace, const Parallel& parallel) const;
  void run_own(const Operands& x, float* workspace, const Parallel& parallel) const;

  ConvShape shape_;
  ConvEpilogue epilogue_;
  int tile_, block_, threads_;
  int64_t tile_rows_, tile_columns_;
  int64_t super_tiles_;  // whose transformed inputs are held at a time
  int64_t sub_tiles_;    // that one thread multiplies at a time
  bool own_;             // a thread transforms what it multiplies, sub_tiles_ at a time
  bool split_panels_;    // and threads take panels of the same tiles
  double reread_;
  int64_t point_stride_, product_stride_;
};

}  // namespace fastort::kernels
