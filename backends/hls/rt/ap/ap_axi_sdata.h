/* ap_axi_sdata.h: a stand-in for the header of the HLS tools: one transfer of an AXI4-Stream. */
#ifndef QUERN_AP_AXI_SDATA_H
#define QUERN_AP_AXI_SDATA_H

#include "ap_int.h"

template <int D, int U, int TI, int TD> struct ap_axiu {
    ap_uint<D> data;
    ap_uint<(D + 7) / 8> keep, strb;
    ap_uint<U> user;
    ap_uint<1> last;
    ap_uint<TI> id;
    ap_uint<TD> dest;
};

#endif
