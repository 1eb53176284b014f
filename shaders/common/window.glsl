// Shaders whose invocation makes one element out of a window over up to three spatial dimensions. The push block begins
// with these fields.
#ifndef COMMON_WINDOW
#define COMMON_WINDOW

#define WINDOW                                                                                          \
  uint count;                                                                                           \
  uint in_d;                                                                                            \
  uint in_h;                                                                                            \
  uint in_w;                                                                                            \
  uint out_d;                                                                                           \
  uint out_h;                                                                                           \
  uint out_w;                                                                                           \
  uint kernel_d;                                                                                        \
  uint kernel_h;                                                                                        \
  uint kernel_w;                                                                                        \
  uint stride_d;                                                                                        \
  uint stride_h;                                                                                        \
  uint stride_w;                                                                                        \
  uint dilation_d;                                                                                      \
  uint dilation_h;                                                                                      \
  uint dilation_w;                                                                                      \
  int pad_d;                                                                                            \
  int pad_h;                                                                                            \
  int pad_w;

#endif
