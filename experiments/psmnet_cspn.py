"""PSMNet with propagated scores, by PSMNet's recipe; not run at full length here.

    fathom train experiments/psmnet_cspn.py        # reads $FATHOM_SCENEFLOW
    fathom depth left.png right.png --method psmnet-cspn --weights runs/psmnet_cspn/best.safetensors

Cheng et al., PAMI 2020, train their stereo nets as PSMNet was: see `psmnet.py`, from which this
differs in the net alone. The paper reports a D1-all of 1.74 % on KITTI 2015's test pairs for its
best one, which has pyramid pooling by propagation besides and is not this.
"""

from dataclasses import replace

from psmnet import EXPERIMENT as PSMNET

from fathom.nets.stereo.psmnet_cspn import psmnet_cspn

EXPERIMENT = replace(PSMNET, net=psmnet_cspn)
