/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * The one header that endpoints (agent, control, web, relay, mps) include:
 * what core and ws offer them.
 */

#ifndef _NGX_MESH_H_INCLUDED_
#define _NGX_MESH_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <ngx_http.h>

#include "../proto/mesh.h"
#include "../proto/mesh_ws.h"

#include "core/ngx_mesh_conf.h"
#include "core/ngx_mesh_shm.h"
#include "core/ngx_mesh_bus.h"
#include "core/ngx_mesh_json.h"
#include "core/ngx_mesh_busy.h"
#include "core/ngx_mesh_db.h"
#include "core/ngx_mesh_model.h"
#include "core/ngx_mesh_known.h"
#include "core/ngx_mesh_event.h"
#include "core/ngx_mesh_cookie.h"
#include "core/ngx_mesh_signer.h"
#include "core/ngx_mesh_cert.h"
#include "ws/ngx_mesh_ws.h"


#define NGX_MESH_VERSION  "0.1.0"


#endif /* _NGX_MESH_H_INCLUDED_ */
