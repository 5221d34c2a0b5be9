"""Load the model in a new process and use it: python predict.py."""

from dc_core import Model

model = Model.from_pretrained("demo/waves")
print(model)
print("predicts", model.predict([[1.0, 2.0]]).item())
