"""`python -m finetune`, which launchers need: `accelerate launch -m finetune run RECIPE`."""

import sys

from finetune.cli import main

sys.exit(main())
