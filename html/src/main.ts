// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0
import './css/index.css';
import './view/wa.ts';
import { mesh } from './view/app-state.ts';
import './view/app.ts';

document.body.append(document.createElement('mesh-app'));
void mesh.open();
